# Sourced by other scripts: make a virtual environment in the checkout and install tsfm into it.
#   source scripts/venv.sh; tsfm_venv NAME EXTRAS   -> .venv-NAME with tsfm[EXTRAS], first on PATH
# It is made anew only when the dependencies, constraints.txt or the interpreter changed.
# Needs bash, Python 3.10 or newer with venv and pip, and a package index. On Windows: Git Bash.
#   PYTHON         the interpreter (default python3, else python)
#   TSFM_PIP_ARGS  more arguments for pip. On Linux the package index has only the CUDA build of torch (4 GB in all);
#                  the CPU build (0.2 GB): TSFM_PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   TSFM_UV        a uv that installs instead of pip: environments share the files of its cache, so that several of them
#                  with the CUDA build take hardly more of the disk than one

tsfm_venv() {
  local name=$1 extras=$2 python=${PYTHON:-} root venv stamp want
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  venv="$root/.venv-$name"
  stamp="$venv/installed"
  [ -n "$python" ] || python=$(command -v python3 || command -v python)
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "tsfm needs Python 3.10 or newer; $python is $("$python" -V). Set PYTHON=/path/to/a/newer/one" >&2
    return 1
  }
  # the settings of the linters, the type checker and pytest are below the dependencies and do not matter
  want=$(cat <(sed '/^\[tool\.ruff\]/,$d' "$root/pyproject.toml") "$root/constraints.txt" \
    <(echo "$root $extras"; "$python" -VV) | cksum)
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
    echo "making $venv ..." >&2
    rm -rf "$venv"
    "$python" -m venv "$venv" || return 1
    (cd "$root" && tsfm_pip "$(tsfm_bin "$venv")/python" -c constraints.txt ${TSFM_PIP_ARGS:-} -e ".[$extras]") || return 1
    echo "$want" > "$stamp"
  fi
  export PATH="$(tsfm_bin "$venv"):$PATH" VIRTUAL_ENV="$venv"
}

# Install into the environment of an interpreter.
tsfm_pip() {
  local python=$1
  shift
  if [ -n "${TSFM_UV:-}" ]; then
    UV_FIND_LINKS=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}} "$TSFM_UV" pip install --quiet --python "$python" "$@"
  else
    "$python" -m pip install --quiet --disable-pip-version-check "$@"
  fi
}

# The folder of an environment's programs: Scripts on Windows, bin elsewhere.
tsfm_bin() {
  if [ -d "$1/Scripts" ]; then echo "$1/Scripts"; else echo "$1/bin"; fi
}
