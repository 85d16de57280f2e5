"""Results of jobs as one Parquet dataset: a row per model, data, setting, seed and metric, with its provenance."""

from tsfm.results.identity import job_identity
from tsfm.results.rows import Provenance, failed_row, measured_rows
from tsfm.results.schema import SCHEMA
from tsfm.results.store import ResultStore, read_results

__all__ = ["SCHEMA", "Provenance", "ResultStore", "failed_row", "job_identity", "measured_rows", "read_results"]
