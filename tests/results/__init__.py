"""Tests of the results store."""
