"""``tagger init``: a conversation that ends with the first photos tagged."""
