"""Everything a user can get wrong, as one table: desk.py runs a case, the other files hold the cases by theme."""

from tests.bad_inputs import in_config, in_files, in_forecasts, in_models, in_runs, in_verbs
from tests.bad_inputs.desk import Case

THEMES = {
    "settings": in_config,
    "files": in_files,
    "runs": in_runs,
    "models": in_models,
    "forecasts": in_forecasts,
    "verbs": in_verbs,
}
CASES: list[tuple[str, Case]] = [(theme, case) for theme, module in THEMES.items() for case in module.CASES]
