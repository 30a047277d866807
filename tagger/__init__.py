"""tagger: recognises what is in every new photo, offline, and makes it findable."""

__version__ = "0.1.0"
