#!/usr/bin/env bash
# Run the linters, the type checker and the tests in the environment .venv-test (about 2 GB with the CPU build of torch).
# Without arguments: the fast tests, with a worker for each core and one thread for each worker. Arguments go to pytest:
# `bash scripts/test.sh -m slow`. See scripts/venv.sh for PYTHON and TSFM_PIP_ARGS.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
tsfm_venv test dev
cd "$here/.."
ruff check .
ruff format --check .
pyright
if [ $# -eq 0 ]; then
  export OMP_NUM_THREADS=1
  set -- -n auto
fi
exec python -m pytest "$@"
