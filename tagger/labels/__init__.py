"""What a person would call what the model sees.

``vocabulary`` is the tree of everyday words that ImageNet's classes hang in (the data is
``imagenet.yaml``, further languages are files in ``names/``), ``schema`` reads and checks
it; ``evidence`` is the compact stored form of one prediction, ``choose`` turns evidence into
tags, with the thresholds that ``calibration`` reads from ``calibration.yaml``.
"""
