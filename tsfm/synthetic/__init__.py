"""Generators of synthetic series, and random changes to series."""
