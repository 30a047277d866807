"""What a person would call what the networks see.

``vocabulary`` has the words, ``evidence`` what the networks said of one photo; ``chooser`` turns
that into tags: by one network alone (``single_choice``) or by all (``joint_choice``).
"""
