"""Frequencies, offsets, time features and time zones."""
