"""Stored models and run directories with one thing changed: the same result, or an error in words."""
