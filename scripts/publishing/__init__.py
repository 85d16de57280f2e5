"""Parts of scripts/publish.py: the sketch of a corpus, the origin of a run, the comparison with an earlier model."""
