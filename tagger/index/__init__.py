"""What tagger remembers: one SQLite file, one writer (store), many readers (search)."""
