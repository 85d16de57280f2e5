"""The backbones, one file each; every file here is imported and registered by `BACKBONES.discover()`."""
