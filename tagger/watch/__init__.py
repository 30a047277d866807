"""Finds finished photos in the watched folders, and notices those that are gone.

A scan is the truth and events are hints: whatever an event says, the file itself is
looked at, and every few minutes everything is. Nothing here opens an image or
writes to one; a folder that may be an unmounted disk is left alone.
"""
