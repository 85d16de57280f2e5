"""Whether a model has seen the series that it is scored on."""
