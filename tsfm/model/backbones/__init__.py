"""Backbones, one file each; `BACKBONES.discover()` imports every file of this package."""
