"""Random and damaged files are read as they say, refused with a ValueError, or the difference is announced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.campaign import Campaign, jobs, read_one


def test_a_sample_of_inputs_is_read_right_or_refused(tmp_path: Path) -> None:
    campaign = Campaign()
    for kind, seed in jobs(140):
        for outcome in read_one(kind, seed, tmp_path):
            campaign.add(*outcome)
    assert campaign.faults == []
    assert sum(count for (_, verdict), count in campaign.counts.items() if verdict == "read right") > 100
    assert sum(count for (_, verdict), count in campaign.counts.items() if verdict == "refused") > 50


@pytest.mark.slow
def test_20_000_inputs_are_read_right_or_refused() -> None:
    campaign = Campaign()
    campaign.run(jobs(20_000))
    assert campaign.faults == []
