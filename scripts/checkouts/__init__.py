"""Parts of scripts/compare_checkouts.py."""
