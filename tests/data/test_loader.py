"""Laws of the loader: a resumed one continues with the next batch, epochs differ and follow from the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsfm.data.flat import FlatSeries
from tsfm.data.loader import WindowLoader, as_batch
from tsfm.data.sampling import InOrder, Shuffled, WithReplacement
from tsfm.data.splits import split_all
from tsfm.data.windows import WindowIndex

PLANS = {
    "epoch": lambda: Shuffled(203, 16, seed=3),
    "random": lambda: WithReplacement([50, 153], 16, 13, seed=3),
    "order": lambda: InOrder(203, 16),
}


def loader(kind: str, *, prefetch: int = 0) -> WindowLoader:
    rng = np.random.default_rng(0)
    flat = FlatSeries.from_arrays([rng.normal(size=(1, length)) for length in (57, 160)])
    index = WindowIndex(flat, split_all(flat.lengths, "all", lookback=6)["train"], context=6, horizon=1)
    made = WindowLoader(index, PLANS[kind](), prefetch=prefetch)
    made._block = 5  # blocks end within the epoch
    return made


@pytest.mark.parametrize("kind", list(PLANS))
@pytest.mark.parametrize(
    ("stop", "prefetch"), [*((stop, 0) for stop in (0, 1, 4, 5, 12, 13, 17)), (0, 2), (4, 2), (13, 1)]
)
def test_a_loader_resumed_at_batch_k_gives_batches_k_and_on(kind, stop, prefetch):
    whole = loader(kind)
    expected = [(epoch, batch.key.tolist()) for epoch in range(3) for batch in whole]
    begun, resumed = loader(kind, prefetch=prefetch), loader(kind, prefetch=prefetch)
    assert len(begun) == 13
    drawn = 0
    while drawn < stop:
        for _ in begun:
            drawn += 1
            if drawn == stop:
                break
    state = begun.state_dict()
    assert set(state) == {"seed", "epoch", "position"}
    resumed.load_state_dict(state)
    rest = [batch.key.tolist() for batch in resumed]
    while len(rest) < len(expected) - stop:
        rest += [batch.key.tolist() for batch in resumed]
    assert rest == [key for _, key in expected[stop:]]


def test_epochs_differ_and_follow_from_the_seed():
    batches, other = loader("epoch"), loader("epoch")
    first = [batch.key.tolist() for batch in batches]
    assert first == [batch.key.tolist() for batch in other]
    assert first != [batch.key.tolist() for batch in batches]
    batches.set_epoch(0)
    assert first == [batch.key.tolist() for batch in batches]


def test_a_state_of_other_data_is_refused():
    with pytest.raises(ValueError, match="batch 99 of an epoch that has 13"):
        loader("epoch").load_state_dict({"seed": 3, "epoch": 0, "position": 99})


def test_nan_is_a_missing_step_of_a_batch():
    values = torch.tensor([[[1.0, torch.nan]], [[torch.nan, 2.0]]])
    batch = as_batch(values.clone(), key=torch.tensor([[0, 1], [2, 3]]))
    assert torch.equal(batch.values, values.nan_to_num(0.0))
    assert torch.equal(batch.observed, ~values.isnan())
    assert batch.key.tolist() == [[0, 1], [2, 3]]
