"""How often each data set and each band of frequencies of a pre-training corpus is drawn, in percent.

    python scripts/corpus_shares.py
    python scripts/corpus_shares.py data=corpus_balanced data.temperature=0.5

`weight` is the share of the weights; the columns of window lengths leave out series that are too short for them;
`total` is the share of the values of all real windows.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tsfm.config import compose, typed
from tsfm.data.corpus import CorpusData
from tsfm.data.shares import corpus_shares, share_table


def main(overrides: list[str]) -> None:
    """Print the table of shares."""
    config = typed(compose("train", ["experiment=pretrain/default", "data=corpus", *overrides])).data
    data = CorpusData(config)
    names = [Path(name).name for name in data.names]
    shares = corpus_shares(data.pool, names, lengths=config.lengths, length_weights=config.length_weights)
    print(share_table(shares, config.lengths))


if __name__ == "__main__":
    main(sys.argv[1:])
