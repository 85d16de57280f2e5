"""`tsfm eval`: score a trained model or a baseline by a protocol, and compare with what was expected."""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tsfm.bench.zero_shot import check_zero_shot
from tsfm.commands.claims import check_claims, make_record
from tsfm.commands.eval_settings import deciding_settings
from tsfm.config import EvalConfig, combine_overrides, compose, typed
from tsfm.files import check_folder, explain_write_errors, write_text
from tsfm.files.locks import claimed_folder
from tsfm.registry import PROTOCOLS
from tsfm.training.environment import environment
from tsfm.training.process_state import restored_random_state
from tsfm.training.run_record import RESULT

log = logging.getLogger("tsfm")


def evaluate(
    predictor: str,
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Score a trained model or a baseline, as the command `tsfm eval` does.

    Parameters
    ----------
    predictor
        A model or run directory, the name of a bundled model, or a baseline.
    data
        Name of a data config such as `etth1`, or else of a data set (a store, or its folder).
    overrides
        Settings as on the command line, such as `["bench.split=val"]`; they come last.
    config_dir
        A folder of further configs.
    **settings
        Settings by name, such as `context=336`, `horizon=96`, `bench="gift"`, `zero_shot=True`. A dict stands for the
        settings of a group: `bench={"stride": 8}`.

    Returns
    -------
    dict
        Metrics and what decides them: numbers of windows and values, lengths, fingerprint of the data.

    Raises
    ------
    ValueError
        If a setting is wrong, or the predictor cannot be scored by the protocol.

    Examples
    --------
    >>> import tsfm
    >>> result = tsfm.evaluate("seasonal_naive", data="etth1", context=336, horizon=96)  # doctest: +SKIP
    """
    texts = combine_overrides({"predictor": str(predictor), **settings}, data=data, overrides=overrides)
    config = typed(compose("eval", texts, config_dir=config_dir))
    return evaluate_config(config, command=f"tsfm eval {shlex.join(texts)}")


@restored_random_state()
def evaluate_config(config: EvalConfig, *, command: str = "") -> dict[str, Any]:
    """Score a trained model or a baseline by the protocol `config.bench`.

    Parameters
    ----------
    config
        A typed configuration, as `tsfm.config.typed` returns it.
    command
        The command line, for the record in `config.out`.

    Returns
    -------
    dict
        Metrics and what decides them; where `config.out` is given it is also written to result.json there.

    Raises
    ------
    FileExistsError
        If `config.out` has the result of other settings.
    FolderInUseError
        If another process writes to `config.out`.
    """
    if config.out is None:
        return _evaluate(config, command=command)
    out = Path(config.out)
    check_folder(out)
    with ExitStack() as stack:
        with explain_write_errors(out):
            stack.enter_context(claimed_folder(out, advice=", or choose another out"))
        _check_replaceable(out / RESULT, config, command)
        return _evaluate(config, command=command)


def _check_replaceable(file: Path, config: EvalConfig, command: str) -> None:
    """Refuse to replace the result of another evaluation, or of a training run."""
    if not file.is_file():
        return
    try:
        old = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(old, dict) or "run_dir" not in old:
            raise ValueError("it has no result")
    except (ValueError, RecursionError) as error:
        log.warning("%s is damaged and will be replaced (%s)", file, error)
        return
    # version 0.1.0 recorded the command alone
    if old.get("settings") == deciding_settings(config) or (
        "settings" not in old and command and old.get("command") == command
    ):
        return
    raise FileExistsError(
        f"{file} is the result of {old.get('predictor', 'a training run')} on {old.get('data')} with other settings; "
        "choose another out, or remove the file"
    )


def _evaluate(config: EvalConfig, *, command: str) -> dict[str, Any]:
    start = time.perf_counter()
    protocol = PROTOCOLS.build(config.bench)
    check_claims(config.expect, protocol)
    protocol.check(config)
    predictor = protocol.load_predictor(config)
    data = protocol.load_data(config, predictor)
    verdict = check_zero_shot(config, protocol, data)  # before time is spent on scoring
    scores = protocol.score(predictor, data)
    protocol.write_tables(scores, None if config.out is None else Path(config.out))
    result = make_record(config.name, protocol.data_name(config), scores, config.expect)
    result |= {
        "predictor": config.predictor,
        "seconds": round(time.perf_counter() - start, 1),
        "run_dir": config.out,
        **(verdict.row() if verdict is not None else {}),
    }
    if config.out is not None:
        record = result | {"command": command, "settings": deciding_settings(config), "environment": environment()}
        write_text(Path(config.out) / RESULT, json.dumps(record, indent=2) + "\n")
    return result
