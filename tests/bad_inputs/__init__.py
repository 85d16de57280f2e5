"""Everything that a user can get wrong, as one table: workspace.py runs a case, the other files hold cases by theme."""

from tests.bad_inputs import (
    checkpoint_cases,
    classify_cases,
    detect_cases,
    embed_cases,
    forecast_cases,
    impute_cases,
    ingest_cases,
    settings_cases,
    training_cases,
)
from tests.bad_inputs.workspace import Case

THEMES = {
    "settings": settings_cases,
    "ingest": ingest_cases,
    "training": training_cases,
    "checkpoint": checkpoint_cases,
    "forecast": forecast_cases,
    "impute": impute_cases,
    "detect": detect_cases,
    "embed": embed_cases,
    "classify": classify_cases,
}
CASES: list[tuple[str, Case]] = [(theme, case) for theme, module in THEMES.items() for case in module.CASES]
