"""Which data sets of a corpus have a permissive licence, from what a manifest states.

The licence of the original data counts where the manifest has an entry for it, else that of the source repository. It
is permissive if every part of the statement names a licence that allows any use, at most with attribution, and no part
has a restriction. A statement without the name of such a licence counts as none: "public" says that data can be read,
not that they may be used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tsfm.messages import did_you_mean

PERMISSIVE = re.compile(
    r"\bMIT\b|\bBSD\b|\bApache-2\.0\b|\bCC0\b|\bCC BY(?!-)|\bPDDL\b|\bpublic domain\b|\bOGL\b|\bDL-DE-zero\b|"
    r"\bdl-de/by\b|\bopen (data )?licence\b|\battribution\b",
    re.IGNORECASE,
)
PARTS = re.compile(r";| / ")  # of a statement about several sources
RESTRICTIONS = {  # in this order: the first that matches names the group
    "copyleft or share-alike": r"\bL?GPL\b|\bCC BY-SA\b|\bODbL\b",
    "non-commercial or research only": r"-NC\b|\bnon-commercial\b|\bresearch\b|-ND\b",
    "terms unverified": r"\bunverified\b|\bcompetition\b|\bnot checked\b|\bnot read\b",
}
NONE_STATED = "no licence stated"
GROUPS = ("permissive", *RESTRICTIONS, NONE_STATED)
CHOICES = ("any", "permissive")  # of data.licences


def deciding_licence(licence: str | None, original: str | None = None) -> str:
    """Return the statement that decides: that about the original data, else that of the source repository.

    Parameters
    ----------
    licence
        What the source repository states for itself, such as `repository: MIT`.
    original
        What is known of the licence of the original data.

    Examples
    --------
    >>> deciding_licence("repository: GPL-3", "CC BY 4.0 (World Bank)")
    'CC BY 4.0 (World Bank)'
    """
    return (original or licence or "").removeprefix("repository:").strip()


def licence_group(licence: str | None, original: str | None = None) -> str:
    """Return the group of a data set, one of `GROUPS`.

    Parameters
    ----------
    licence, original
        As in `deciding_licence`.

    Examples
    --------
    >>> licence_group("repository: none stated", "CC0 (Kaggle original)")
    'permissive'
    >>> licence_group("repository: MIT", "Weather Underground (terms unverified)")
    'terms unverified'
    """
    statement = deciding_licence(licence, original)
    for group, pattern in RESTRICTIONS.items():
        if re.search(pattern, statement, re.IGNORECASE):
            return group
    return "permissive" if all(PERMISSIVE.search(clause) for clause in PARTS.split(statement)) else NONE_STATED


def is_allowed(choice: str, entry: Mapping[str, Any]) -> bool:
    """Whether `data.licences` admits a data set, by its entry in a manifest."""
    return choice == "any" or licence_group(entry.get("licence"), entry.get("licence_original_unverified")) == choice


def check_choice(choice: str) -> None:
    """Raise a ValueError unless this is a choice of `data.licences`."""
    if choice not in CHOICES:
        raise ValueError(f"data.licences is {choice!r}; {did_you_mean(choice, list(CHOICES))}")
