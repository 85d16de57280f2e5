"""What scripts/bench_peers.py measures: the peers beside ours (pairs), and scans beside attention (lengths)."""
