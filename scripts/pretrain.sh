#!/usr/bin/env bash
# Train the next tsfm-small in the background, on one core at low priority. It can be stopped and started at any time.
#   bash scripts/pretrain.sh start          begin, or go on; without the folder of the run, from the newest bundled weights
#   bash scripts/pretrain.sh status         steps and values so far, speed, whether it is running
#   bash scripts/pretrain.sh stop           stop it; at most 100 steps are lost
#   bash scripts/pretrain.sh export         save the newest weights now (it does so every half hour by itself)
#   bash scripts/pretrain.sh decay STEPS    in the foreground: a branch in which the learning rate decays to 0
# Needs TSFM_DATA (default ../shared/data). The state is in runs/long, which git ignores; see scripts/pretrain_long.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
tsfm_venv test dev
cd "$here/.."
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive TSFM_DATA="${TSFM_DATA:-../shared/data}"
folder=${TSFM_LONG_RUN:-runs/long}
mkdir -p "$folder"
case "${1:-}" in
  start)
    nohup nice -n 19 python scripts/pretrain_long.py run --folder "$folder" "${@:2}" >> "$folder/log.txt" 2>&1 &
    echo "started; follow it in $folder/log.txt"
    ;;
  status | stop | export | decay) exec python scripts/pretrain_long.py "$1" --folder "$folder" "${@:2}" ;;
  *)
    sed -n '2,8s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
