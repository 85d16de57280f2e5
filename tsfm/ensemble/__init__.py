"""A forecaster that adapts to the data at hand: simple members beside a network, weighted by a back-test."""
