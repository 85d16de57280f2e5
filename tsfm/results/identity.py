"""When two jobs are the same: settings, data, weights and version that decide the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsfm.fingerprint import content_digest
from tsfm.version import __version__

DIGITS = 24  # 96 bits


def job_identity(
    kind: str, settings: Mapping[str, Any], *, data: str, weights: str | None = None, version: str = __version__
) -> str:
    """Return the identity of a job.

    Parameters
    ----------
    kind
        `train` or `eval`.
    settings
        Plain settings that decide the result; where files are written is not among them.
    data
        Digest of the data.
    weights
        Digest of the weights that are scored, or that the training starts from.
    version
        Version of tsfm. The commits between two versions share one identity; the column `commit` differs.

    Returns
    -------
    str
        24 hexadecimal digits.

    Examples
    --------
    >>> one = job_identity("eval", {"predictor": "seasonal_naive", "horizon": 24}, data="4dc2b910")
    >>> one == job_identity("eval", {"horizon": 24, "predictor": "seasonal_naive"}, data="4dc2b910")
    True
    >>> one == job_identity("eval", {"horizon": 48, "predictor": "seasonal_naive"}, data="4dc2b910")
    False
    """
    content = {"kind": kind, "settings": dict(settings), "data": data, "weights": weights, "version": version}
    return content_digest(content)[:DIGITS]
