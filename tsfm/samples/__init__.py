"""Sample paths from quantile forecasts."""
