"""What `scripts/bench_contamination.py` gives to the leak check: clean sets and planted copies."""
