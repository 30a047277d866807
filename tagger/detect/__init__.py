"""A picture of the whole photo in, boxes out: which things are where."""

import os

# As in tagger.classify: ONNX Runtime reports its use unless it is told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
