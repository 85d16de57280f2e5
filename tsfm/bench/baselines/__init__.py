"""Baselines: forecasters, imputers, classifiers and anomaly detectors with the same interfaces as trained models."""
