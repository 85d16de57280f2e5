"""Forecasters that adapt to the data at hand: members weighted by a back-test, or step by step as a series grows."""
