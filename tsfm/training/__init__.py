"""One learner for every task, and the run around it."""
