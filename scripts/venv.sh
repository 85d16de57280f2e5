# Sourced by the scripts beside it: make a virtual environment of its own in the checkout and install tsfm into it.
#   source scripts/venv.sh NAME EXTRAS      -> .venv-NAME with tsfm[EXTRAS], its bin first on PATH
# It is made anew only when pyproject.toml, constraints.txt or the interpreter changed since.

tsfm_venv() {
  local name=$1 extras=$2 python=${PYTHON:-python3} root stamp want
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  local venv="$root/.venv-$name"
  stamp="$venv/installed"
  want=$(cat "$root/pyproject.toml" "$root/constraints.txt" <(echo "$root $extras"; "$python" -VV) | cksum)
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "tsfm needs Python 3.10 or newer; $python is $("$python" -V). Set PYTHON=/path/to/a/newer/one" >&2
    return 1
  }
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
    echo "making $venv ..." >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # the CPU build of torch, unless torch is wanted otherwise: a bare `torch` brings gigabytes of CUDA on Linux
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      -c "$root/constraints.txt" ${TSFM_PIP_ARGS:-} -e "$root[$extras]"
    echo "$want" > "$stamp"
  fi
  export PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv"
}
