"""One batch of photos: intake, inference, tagging, commit."""
