"""`tagger demo`."""
