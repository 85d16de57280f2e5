"""Inference: predictors of arrays and DataFrames, and the verbs of trained models."""
