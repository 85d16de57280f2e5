"""Fuzzing of everything that reads data: random inputs, an oracle that knows what they say, and a runner."""
