"""Laws of licences: the original data decide, a restriction in any part excludes, "public" is not a licence."""

from __future__ import annotations

import pytest

from tsfm.data.corpus import CorpusConfig, CorpusData, corpus_names
from tsfm.data.licences import GROUPS, PERMISSIVE, licence_group

FREE = [
    *("repository: MIT", "repository: BSD-2-Clause", "repository: Apache-2.0", "repository: CC BY 4.0"),
    *("Google cluster data 2011 (CC BY)", "ODC-PDDL (both)", "EIA (public domain)", "UK AURN (OGL)"),
    *("City of Frankfurt open data (dl-de/by-2-0)", "City of Ottawa open data licence", "RTE eCO2mix (open licence)"),
    *("open data portal Bonn (CC0 or DL-DE-zero)", "Open Power System Data (attribution)"),
    "MIT (R package); data National Grid open licence",
]
OTHERS = {
    "repository: none stated": "no licence stated",
    "repository: linkedin/greykite: BSD-2-Clause; facebook/prophet: none stated": "no licence stated",
    "MIT; Weather Underground data": "no licence stated",
    "NYC Health (public)": "no licence stated",
    "repository: LGPL": "copyleft or share-alike",
    "repository: GPL (>= 2) / GPL (>= 2) / CC0": "copyleft or share-alike",
    "CC BY-SA 4.0": "copyleft or share-alike",
    "Electricity Maps (ODbL)": "copyleft or share-alike",
    "CC BY-NC-SA 4.0 (Berkeley Earth/Kaggle)": "non-commercial or research only",
    "CoMon project (PlanetLab), free for research": "non-commercial or research only",
    "hystreet.com (non-commercial, unverified)": "non-commercial or research only",
    "course competition data (HK government open data)": "terms unverified",
    "S&P CoreLogic (terms unverified)": "terms unverified",
    "repository: a LICENSE file is present (licence name not checked)": "terms unverified",
}


@pytest.mark.parametrize("statement", FREE)
def test_permissive_statements(statement: str) -> None:
    assert licence_group(statement) == licence_group("repository: none stated", statement) == "permissive"


@pytest.mark.parametrize("statement", OTHERS)
def test_other_statements_exclude_alone_and_as_the_original(statement: str) -> None:
    assert licence_group(statement) == licence_group("repository: MIT", statement) == OTHERS[statement]
    assert licence_group(f"{statement}; MIT") == OTHERS[statement]


@pytest.mark.parametrize("entry", [(None, None), ("", ""), ("repository:", None)])
def test_nothing_is_not_permissive(entry: tuple[str | None, str | None]) -> None:
    assert licence_group(*entry) == "no licence stated"


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.licences is 'free'; known: any, permissive"):
        CorpusConfig(licences="free")


@pytest.mark.slow
@pytest.mark.realdata
def test_the_permissive_corpus_is_a_part_of_the_corpus_with_free_licences_alone() -> None:
    rows = CorpusData(CorpusConfig(licences="permissive")).sets
    assert {row["name"] for row in rows} < set(corpus_names())
    assert all(PERMISSIVE.search(f"{row['original'] or row['licence']}") for row in rows)
    every = CorpusData(CorpusConfig()).sets
    assert {row["group"] for row in every} == set(GROUPS)
    assert [row for row in every if row["group"] == "permissive"] == rows
