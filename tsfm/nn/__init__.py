"""Pure layers: tensors in, tensors out; they know nothing of windows, tasks or data."""
