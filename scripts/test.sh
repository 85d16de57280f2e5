#!/usr/bin/env bash
# Run the tests in an environment of their own. Arguments go to pytest: `bash scripts/test.sh -m slow`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
tsfm_venv test dev
cd "$here/.."
ruff check .
ruff format --check .
exec python -m pytest "$@"
