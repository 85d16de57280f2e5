"""`tsfm bench NAME`: whole benchmarks, written as Markdown and CSV tables."""
