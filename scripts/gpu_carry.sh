#!/usr/bin/env bash
# Fill wheels/ and carry/ with what scripts/gpu.sh needs on a machine that has PyTorch and Lightning, but no package index
# and no data: wheels of the other packages, the source of mamba-ssm, and the corpus as one file (from TSFM_DATA).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
mkdir -p wheels carry
rm -f wheels/*
for package in hydra-core omegaconf antlr4-python3-runtime==4.9.3 einops fla-core; do # antlr4: the version of omegaconf
  "$python" -m pip wheel -q --no-deps --wheel-dir wheels -c constraints.txt "$package"
done
"$python" - <<'END'
from pathlib import Path
from tests.parity.interpreted.downloads import read_url, requirement, source_urls
version, url = list(source_urls(requirement("mamba-ssm")).items())[-1]
Path(f"wheels/mamba_ssm-{version}.tar.gz").write_bytes(read_url(url.partition("#")[0]))
END
PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" "$python" scripts/gpu/corpus_file.py pack carry/corpus.parquet
du -sh wheels carry
