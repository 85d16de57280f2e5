"""The parts of scripts/gpu_slot.py: checks and measurements on a GPU, and pre-training for the rest of the time."""
