#!/usr/bin/env bash
# Run the fast tests on each Python from 3.10 to 3.13 that this machine has, on PATH or in ~/.pyenv/versions, each in an
# environment of its own (.venv-3.10, ...), and print a table. Arguments go to pytest; PYTHONS chooses versions:
#   PYTHONS="3.10 3.13" bash scripts/test_pythons.sh tests/nn -q
# uv installs where it is on PATH (`pip install uv`): the CUDA build of torch, 6 GB, then lies on the disk once for all.
# Logs: runs/pythons/VERSION.log. The exit status is 1 where a version failed. See scripts/venv.sh for TSFM_PIP_ARGS.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
cd "$here/.."
export TSFM_UV=${TSFM_UV-$(command -v uv)}
logs=runs/pythons
mkdir -p "$logs"

# The first interpreter that runs and is of this version: a pyenv shim exists for versions that it refuses to start.
find_python() {
  local python
  for python in $(type -ap "python$1") "$HOME/.pyenv/versions/$1".*/bin/python; do
    if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
      echo "$python"
      return
    fi
  done
}

table="version  result                                        seconds"
status=0
for version in ${PYTHONS:-3.10 3.11 3.12 3.13}; do
  python=$(find_python "$version")
  log="$logs/$version.log"
  started=$SECONDS
  if [ -z "$python" ]; then
    result="not on this machine"
  elif ! (PYTHON=$python tsfm_venv "$version" dev) >"$log" 2>&1; then
    result="installation failed" status=1
  else
    started=$SECONDS
    (PYTHON=$python tsfm_venv "$version" dev && exec python -m pytest "$@") >>"$log" 2>&1 || status=1
    result=$(tail -n 1 "$log" | tr -d '=' | sed 's/ in [0-9.]*s.*//; s/^ *//; s/ *$//')
  fi
  table+=$(printf '\n%-8s %-45s %7d' "$version" "$result" $((SECONDS - started)))
  echo "$version: $result (log: $log)" >&2
done
echo "$table"
exit $status
