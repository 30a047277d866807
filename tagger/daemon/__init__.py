"""The long-running process: threads, signals, reload, reports."""
