"""Writes tags where other programs read them, and takes them away again, without ever harming a
photo or a keyword that is not ours.
"""
