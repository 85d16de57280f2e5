"""Files in, Parquet out: the reader of columns and timestamps, and the series store."""
