"""Finds finished photos in the watched folders, and notices those that are gone.

Events are hints, and the disk is checked: whatever an event says, the file itself is looked at,
and every few minutes everything is scanned. Nothing here decodes a photo or writes to one; a folder
that may be an unmounted disk is left alone.
"""
