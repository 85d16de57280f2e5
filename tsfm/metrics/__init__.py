"""Metrics of forecasts, imputed values, detected anomalies, classes and numbers: pure numpy functions."""
