#!/usr/bin/env bash
# Run the checks, the measurements and the pre-training of scripts/gpu_slot.py, within 9 minutes (--seconds 540):
#   bash scripts/gpu.sh --init MODEL_DIR [--seconds S] [KEY=VALUE ...]
#   bash scripts/gpu.sh --dry-run
# Results go to $OUT, or to runs/gpu. Wheels in wheels/, if any, are installed into a folder of their own, without an index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
if compgen -G 'wheels/*.whl' >/dev/null; then
  site=$(mktemp -d)
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$site" wheels/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONUNBUFFERED=1
exec "$python" scripts/gpu_slot.py --out "${OUT:-runs/gpu}" "$@"
