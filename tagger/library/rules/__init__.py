"""Rules: what is done with each new photo that a query finds."""
