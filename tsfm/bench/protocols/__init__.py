"""Evaluation protocols, one module each, registered in `tsfm.registry.PROTOCOLS`."""
