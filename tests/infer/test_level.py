"""Constants that are subtracted before float32."""

from __future__ import annotations

import numpy as np
import pytest

from tsfm.infer.level import level_offset, may_need_offset


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_only_items_without_an_offset_are_passed_over(missing):
    rng = np.random.default_rng(0)
    items = []
    for level in (0, 1, 1e3, 1e5, 1e6, 1e7, 1e9, -1e8):
        for spread in (0, 1e-3, 1, 100):
            values = level + spread * rng.normal(size=(int(rng.integers(1, 30)), 2)).round(2)
            values[rng.random(values.shape) < missing] = np.nan
            items.append(values)
    bounds = np.append(0, np.cumsum([len(values) for values in items]))
    flagged = may_need_offset(np.concatenate(items), bounds)
    offsets = np.array([level_offset(values) for values in items])
    assert offsets.any()
    assert not offsets[~flagged].any()
    assert missing or not flagged.all()
