"""Workers on other machines that look at photos, by Dask (``distributed``); see docs/cluster.md.

The daemon's machine watches, chooses and writes; :mod:`~tagger.cluster.recognition` is its side,
:mod:`~tagger.cluster.worker` that of a worker. What both say is in :mod:`~tagger.cluster.messages`.
"""
