#!/usr/bin/env bash
# Zero-shot: a bundled model forecasts, and finds what was strange in, a series it has never seen; seconds after the
# installation, without a network. The data: monthly sea surface temperature off Peru 1950-2010, as it comes with
# statsmodels. Results: runs/demo/. (scripts/demo_train.sh trains a model of its own instead, in about a minute.)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/venv.sh"
tsfm_venv demo demo
cd "$here/.."
out=runs/demo
rm -rf "$out" && mkdir -p "$out"
begun=$(date +%s)

echo "== 1. a CSV file"
python - "$out/elnino.csv" <<'PY'
import sys
import pandas as pd
from statsmodels.datasets import elnino
table = elnino.load_pandas().data.melt("YEAR", var_name="month", value_name="target")
stamps = table["YEAR"].astype(int).astype(str) + "-" + table["month"].str.title()
table["timestamp"] = pd.to_datetime(stamps, format="%Y-%b")
table.sort_values("timestamp")[["timestamp", "target"]].to_csv(sys.argv[1], index=False)
PY
head -n 3 "$out/elnino.csv"

echo "== 2. forecast the last year as if it were not known, beside seasonal naive"
tsfm forecast "$out/elnino.csv" --model tsfm-small --horizon 12 --holdout --out "$out/forecast.csv" --plot "$out/forecast.png"

echo "== 3. which months were strange? (1982 and 1983 had the strongest El Nino of the century but one)"
tsfm detect "$out/elnino.csv" --model tsfm-small --out "$out/scores.csv" --plot "$out/scores.png"
echo "done in $(($(date +%s) - begun)) s: $out/forecast.csv, $out/forecast.png, $out/scores.csv, $out/scores.png"
