"""Find words that the project does not use: in identifiers, and in text (docstrings, comments, messages, documents).

The project is written in plain technical English with the field's standard terms. The lists below are the words of an
older private vocabulary, and what replaces them.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# whole identifiers -> what to write instead
IDENTIFIERS = {
    "ahead": "horizon, or what is known in the future",
    "asked": "requested_..., quantile_levels",
    "bases": "seasonal_lags",
    "beside": "the thing it holds",
    "board": "suite",
    "clock": "timezone, period, parser or formatter",
    "clocks": "timezones, periods",
    "copies": "lag_features",
    "coupled": "cross_channel",
    "dice": "rng, sampler",
    "evened": "equal_length",
    "face": "interface",
    "facts": "channel_features",
    "found": "what it holds: metrics, matches, ...",
    "given": "visible_values, inputs, ...",
    "gone": "what it holds",
    "holdback": "holdout",
    "how": "what it holds: options, ...",
    "levels": "quantile_levels",
    "looks": "views, probe_features",
    "lost": "missing, dropped",
    "marks": "time_features",
    "one": "what it holds: series, item, ...",
    "ours": "what it holds",
    "part": "what it holds: component, column, chunk, ...",
    "pays": "is_worthwhile",
    "place": "index, position, path",
    "places": "indices, positions",
    "reach": "usable_context_length, max_horizon",
    "reads": "quantiles",
    "said": "predicted, message",
    "shown": "visible, observed",
    "strange": "anomalous",
    "strangeness": "anomaly_score",
    "tells": "reports, describes",
    "theirs": "what it holds",
    "there": "observed, present",
    "thin": "stride",
    "thinned": "strided",
    "told": "predicted, reported, reason",
    "truth": "y_true, target",
    "what": "what it holds",
    "whose": "what it holds",
    "why": "reason",
    "words": "what it holds: rng_state, tokens, overrides",
}
# words inside a longer identifier
TOKENS = {
    *("asked", "dice", "evened", "facts", "holdback", "looks", "nobody", "pays", "said", "tells", "thinned", "told"),
    *("truth", "whose"),
}
# patterns in text -> what to write instead
PHRASES = {
    r"can't|couldn't|won't|don't|doesn't|isn't|aren't": "cannot, does not, is not",
    r"nobody": "missing, no value was observed",
    r"\btold\b|\btells\b": "reported, reports, given",
    r"stands? beside|stood beside|lies beside|laid beside": "is next to, is stored with",
    r"so manyth": "every k-th",
    r"made[- ]up": "synthetic",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\b(?:a|one|second|first) look\b|\blooks at\b": "a pass, reads",
    r"(?<!there )\bis no (?!longer|such|more)\w": "is not a",
    r"\b(?:the house|rooms?|floors? above|storey)\b": "package, layer",
    r"\bdice\b": "random generator",
    r"\bspeaks? of\b": "is about, concerns",
    r"\bwhose is\b|\bas one reads\b": "plain words",
    r"\btime marks?\b": "time features",
    r"\bthe face of\b": "the interface of",
    r"\bthinned\b": "strided, subsampled",
    r"\bstrangest\b|\bstranger\b|\bstrange\b": "anomalous, most anomalous",
}
ROOT = Path(__file__).resolve().parents[1]


class Offence(NamedTuple):
    """A word at a line of a file, and what to write instead."""

    path: Path
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.word!r}; write {self.instead}"


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that a module defines: functions, classes, arguments, assigned variables and attributes, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Comments and strings that hold prose (more than one word) of a Python file, line by line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_text = token.type == tokenize.COMMENT or token.type == tokenize.STRING
        is_text = is_text or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
        if is_text and " " in token.string:
            for number, line in enumerate(token.string.splitlines()):
                yield token.start[0] + number, line


def identifier_offences(path: Path, tree: ast.AST) -> Iterator[Offence]:
    """Identifiers that are in a list of words to avoid."""
    for line, name in defined_names(tree):
        bare = name.strip("_").lower()
        if bare in IDENTIFIERS:
            yield Offence(path, line, name, IDENTIFIERS[bare])
        else:
            tokens = {token.lower() for token in re.findall(r"[A-Z]?[a-z]+", name)}
            for token in sorted(tokens & TOKENS):
                yield Offence(path, line, name, f"a name without {token!r}")


def text_offences(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[Offence]:
    """Phrases of text that are in the list of phrases to avoid."""
    for number, line in lines:
        for pattern, instead in PHRASES.items():
            if match := re.search(pattern, line, re.IGNORECASE):
                yield Offence(path, number, match[0], instead)


def offences(path: Path) -> list[Offence]:
    """All offences of a file: identifiers and text of Python, text of everything else."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [*identifier_offences(path, ast.parse(source)), *text_offences(path, texts(source))]
    if path.suffix == ".yaml":
        lines = ((number, line.partition("#")[2]) for number, line in enumerate(source.splitlines(), 1))
        return list(text_offences(path, lines))
    return list(text_offences(path, iter(enumerate(source.splitlines(), 1))))


def files(paths: list[Path]) -> list[Path]:
    """Every Python, YAML and Markdown file below the paths."""
    listed = []
    for path in paths:
        candidates = sorted(path.rglob("*")) if path.is_dir() else [path]
        listed += [file for file in candidates if file.suffix in (".py", ".yaml", ".md") and file.is_file()]
    return listed


if __name__ == "__main__":
    offending = [
        offence for file in files([Path(word).resolve() for word in sys.argv[1:]]) for offence in offences(file)
    ]
    print(*offending, sep="\n")
    print(len(offending), "offences")
