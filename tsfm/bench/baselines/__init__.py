"""Forecasters that need no training, behind the same Predictor as a trained model. They stand in every table."""
