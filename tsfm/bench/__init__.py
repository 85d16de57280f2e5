"""Protocols, baselines and benchmark suites."""
