"""Replacing a file so that there is never a third state, and undoing it."""
