"""Checkpoints that are made once for all tests of the engines."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def random_resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ResNet-18 checkpoint with random weights."""
    import torch

    from tests.classify.checkpoints import random_model

    path = tmp_path_factory.mktemp("random") / "resnet18.pth"
    torch.save(random_model("resnet18").state_dict(), path)
    return path


@pytest.fixture(scope="session")
def random_squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint (SqueezeNet 1.1) with random weights."""
    import torch

    from tests.classify.checkpoints import random_model

    path = tmp_path_factory.mktemp("random") / "squeezenet1_1.pth"
    torch.save(random_model("squeezenet1_1").state_dict(), path)
    return path
