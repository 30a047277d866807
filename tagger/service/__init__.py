"""tagger as a systemd service: the units, their drop-ins, and how they are installed."""
