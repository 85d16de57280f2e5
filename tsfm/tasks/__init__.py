"""Tasks, one file each: a task hides values of a batch and computes the loss of the answer."""
