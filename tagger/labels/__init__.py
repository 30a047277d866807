"""What a person would call what the networks see.

``vocabulary`` is the tree of everyday words that ImageNet's classes, Places365's scenes and
COCO's things hang in (the data is ``imagenet.yaml``, further languages are files in ``names/``),
``yaml_parser`` reads and checks it; ``evidence`` is the compact stored form of what the networks
said of one photo. ``chooser`` turns evidence into tags: by one network alone (``single_choice``,
with the thresholds that ``calibration`` reads from ``calibration.yaml``) or by all that have seen
the photo (``joint_choice``), whose parts ``fusion`` joins as ``fusion.yaml`` says.
"""
