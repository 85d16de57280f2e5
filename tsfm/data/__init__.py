"""Training data: windows, splits, sampling, data modules and the corpus."""
