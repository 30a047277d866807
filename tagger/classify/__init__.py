"""Crops in, probabilities and features out: the weights, and the engines that run them."""

import os

# Photos stay at home, and so does what is done with them: ONNX Runtime (1.32) reports its use
# unless it is told not to, before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
