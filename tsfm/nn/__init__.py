"""Layers: from tensors to tensors, without any knowledge of windows, tasks or data."""
