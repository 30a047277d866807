"""The operating system: files, mounts, processes, sockets, logs. Nothing of photos."""
