"""Draw series of every generator of synthetic series, and measure the speed of each one.

    python scripts/draw_synthetic.py docs/img/synthetic.png
    python scripts/draw_synthetic.py /tmp/all.png --rows 8 --length 1024

Prints series per second by generator, and of the whole mixture with and without augmentation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from tsfm.registry import GENERATORS
from tsfm.synthetic.augment import Augment
from tsfm.synthetic.mixture import GeneratorMixture
from tsfm.synthetic.signals import zscore

INK, GREY = "#1f4e79", "#555555"


def speed(draw: Callable[[], Tensor], num: int) -> float:
    """Return series per second, the better of two runs."""
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        draw()
        taken.append(time.perf_counter() - start)
    return num / min(taken)


def main() -> None:
    """Print the speeds and save the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="of the picture")
    parser.add_argument("--rows", type=int, default=3, help="series of each generator in the picture")
    parser.add_argument("--length", type=int, default=512, help="steps of a series in the picture")
    parser.add_argument("--num", type=int, default=1000, help="series of 2048 steps to measure; 0 measures nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="names of generators, separated by commas")
    args = parser.parse_args()

    generator = torch.Generator().manual_seed(args.seed)
    chosen = args.only.split(",") if args.only else [name for name in GENERATORS.names() if name != "synforecast"]
    generators = {name: GENERATORS.build(GENERATORS.config({"name": name})) for name in chosen}
    if args.num:
        for name, source in generators.items():
            rate = speed(lambda source=source: source.draw(args.num, 2048, generator), args.num)
            print(f"{name:16} {rate:8,.0f} series/s")
        mixture, augment = GeneratorMixture(), Augment()
        print(f"{'mixture':16} {speed(lambda: mixture.draw(args.num, 2048, generator), args.num):8,.0f} series/s")
        drawn = mixture.draw(args.num, 2048, generator)
        print(f"{'augment':16} {speed(lambda: augment(drawn, generator), args.num):8,.0f} series/s")
    picture(args.path, {name: source.draw(args.rows, args.length, generator) for name, source in generators.items()})


def picture(path: str, drawn: dict[str, Tensor]) -> None:
    """Save a figure with a row for each generator; values [series, time]."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = next(iter(drawn.values())).shape[0]
    figure, axes = plt.subplots(
        len(drawn), rows, figsize=(2.6 * rows + 1.2, 0.55 * len(drawn)), sharex=True, squeeze=False
    )
    for (name, series), line in zip(drawn.items(), axes, strict=True):
        for values, axis in zip(zscore(series), line, strict=True):
            axis.plot(values.numpy(), color=INK, linewidth=0.5)
            axis.set_axis_off()
        line[0].text(-0.04, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=8, color=GREY)
    left = 1.15 / (2.6 * rows + 1.2)
    figure.subplots_adjust(left=left, right=0.995, top=0.995, bottom=0.005, hspace=0.15, wspace=0.04)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    if path.endswith(".png"):  # 16 colors suffice and need a third of the bytes
        from PIL import Image

        with Image.open(path) as image:
            image.convert("RGB").quantize(16).save(path, optimize=True)


if __name__ == "__main__":
    main()
