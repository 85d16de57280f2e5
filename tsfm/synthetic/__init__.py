"""Batched generators of made-up series, on any torch device. `universe.Universe` draws from all of them."""
