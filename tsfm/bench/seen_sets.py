"""The leak check of a whole benchmark: which data sets each predictor has seen in training.

It runs before anything is scored, once for each predictor and data set.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from tsfm.bench.predictors import is_model
from tsfm.bench.zero_shot import check_seen
from tsfm.contamination.verdict import MAX_NAMED, Verdict
from tsfm.data.base import SourceSeries

log = logging.getLogger("tsfm")
Scored = Callable[[], SourceSeries]


@dataclass(frozen=True)
class SeenSets:
    """The verdicts on predictors, by their labels in the tables, and data sets; none on baselines."""

    verdicts: Mapping[tuple[str, str], Verdict]  # (label, data set)

    def columns(self, label: str, data: str) -> dict[str, Any]:
        """Return the columns of a row: `zero_shot` (true, false, unknown), and where it is known the count `seen`."""
        verdict = self.verdicts.get((label, data))
        if verdict is None:
            return {}
        return {"zero_shot": verdict.word, **({} if verdict.zero_shot is None else {"seen": len(verdict.seen)})}

    def seen(self, label: str) -> list[str]:
        """Return the data sets of which a predictor has seen a series."""
        return [data for (name, data), verdict in self.verdicts.items() if name == label and verdict.seen]

    def sentences(self) -> list[str]:
        """Return a sentence for each trained predictor."""
        return [self._sentence(label) for label in dict.fromkeys(label for label, _ in self.verdicts)]

    def _sentence(self, label: str) -> str:
        verdicts = [verdict for (name, _), verdict in self.verdicts.items() if name == label]
        sets = f"{len(verdicts)} data set{'s' if len(verdicts) > 1 else ''}"
        unknown = [verdict for verdict in verdicts if verdict.zero_shot is None]
        if len(unknown) == len(verdicts):
            return f"{label}: whether it is zero-shot is unknown: {unknown[0].reason}."
        seen = self.seen(label)
        if not seen and not unknown:
            return f"{label}: zero-shot, its training data hold no series of the {sets}."
        clauses = [f"it has seen series of {len(seen)} of {sets} ({_shortened(seen)})"] if seen else []
        if unknown:
            clauses.append(f"it is unknown for {len(unknown)} of {sets} ({unknown[0].reason})")
        return f"{label}: {'not zero-shot, ' if seen else ''}{'; '.join(clauses)}."


def check_sets(predictors: Mapping[str, str], sets: Mapping[str, Scored], *, zero_shot: bool = False) -> SeenSets:
    """Ask the leak check about predictors and data sets, and log a sentence for each trained predictor.

    Parameters
    ----------
    predictors
        Label in the tables -> name as on the command line; of a mean of predictors (`A+B`) each member is asked.
    sets
        Name of a data set -> function that returns its series; not called for baselines and for models without a
        record of their training.
    zero_shot
        Whether to refuse a predictor that is not known to be zero-shot on every set.

    Raises
    ------
    ValueError
        If `zero_shot` is set, and a predictor has seen a series, or that is unknown.
    """
    trained = {label: members for label, name in predictors.items() if (members := trained_members(name))}
    verdicts: dict[tuple[str, str], Verdict] = {}
    for data, scored in tqdm(sets.items(), desc="leak check", disable=None if trained else True):
        for label, members in trained.items():
            verdict = worst([verdict for name in members if (verdict := check_seen(name, scored)) is not None])
            if zero_shot and verdict.zero_shot is not True:
                raise ValueError(
                    f"--zero-shot requires series that {label} was never trained on; {data}: {verdict}; leave "
                    "--zero-shot out to mark such scores in the tables, or leave the data set or the model out"
                )
            verdicts[label, data] = verdict
    result = SeenSets(verdicts)
    for sentence in result.sentences():
        log.info("%s", sentence)
    return result


def trained_members(name: str) -> list[str]:
    """Return the models that a predictor consists of; none for a baseline."""
    members = name.split("+") if "+" in name and not is_model(name) else [name]
    return [member for member in members if is_model(member)]


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that says most against zero-shot: seen, then unknown, then not seen."""
    return min(
        verdicts, key=lambda verdict: {False: (0, -len(verdict.seen)), None: (1, 0), True: (2, 0)}[verdict.zero_shot]
    )


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"
