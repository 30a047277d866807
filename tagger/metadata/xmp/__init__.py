"""XMP: packets, their edits, keywords in them."""
