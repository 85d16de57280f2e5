#!/usr/bin/env bash
# Training instead of zero-shot: from a CSV file to a trained, saved model and a forecast with a picture, in about a minute after installation.
# The data: weekly CO2 at Mauna Loa 1958-2001, with gaps, as it comes with statsmodels. Results: runs/demo_train/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
tsfm_venv demo demo
cd "$here/.."
out=runs/demo_train
rm -rf "$out" && mkdir -p "$out"

echo "== 1. a CSV file"
python - "$out/co2.csv" <<'PY'
import sys
from statsmodels.datasets import co2
table = co2.load_pandas().data.rename_axis("timestamp").rename(columns={"co2": "target"}).dropna()
table.to_csv(sys.argv[1])  # weeks without a measurement are simply absent
PY
head -n 3 "$out/co2.csv"

echo "== 2. ingest: gaps become missing steps"
tsfm ingest "$out/co2.csv" --out "$out/store" --name co2

echo "== 3. train a patched transformer (the last 52 weeks are the test, the 52 before them the validation)"
tsfm train experiment=demo data.dataset="$out/store" run_dir="$out/run"

echo "== 4. forecast the last year as if it were not known, beside seasonal naive"
tsfm forecast "$out/co2.csv" --model "$out/run" --horizon 52 --holdout --out "$out/forecast.csv" --plot "$out/forecast.png"
echo "done: $out/forecast.csv, $out/forecast.png, and the model in $out/run/model"
