"""Taught labels: the words of the user's own, learned from a few examples.

Plain numpy on the features that the index keeps of every photo. ``whitening`` makes vectors of
them, ``ridge`` fits, ``thresholds`` says from where on a label is given or asked about,
``learner`` puts them together, ``model`` applies what was learned, ``questions`` asks.
"""
