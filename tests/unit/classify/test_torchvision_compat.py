"""Importing torchvision beside another build of torch, each time in a fresh process.

A small package stands in for torchvision, so that every kind of failure can be had on any
machine; the real one is tried as well, as it is installed here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PREAMBLE = """
import json, sys, torch
original = torch.library.register_fake
"""

PLAIN = """
try:
    import torchvision
    print(json.dumps("imported"))
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
"""

OURS = """
from tagger.classify.torchvision_compat import import_torchvision
from tagger.errors import ModelError
try:
    module, error = import_torchvision(), None
    assert import_torchvision() is module is sys.modules["torchvision"]
except ModelError as raised:
    module, error = None, raised
print(json.dumps({
    "error": error and error.message,
    "remedy": error and error.remedy,
    "restored": torch.library.register_fake is original,
    "imports": getattr(torch, "imports", None),
    "patched": [function is not original for function in getattr(torch, "seen", [])],
    "end": getattr(module, "end", None),
    "compiler": "torch._dynamo" in sys.modules,
    "answer": getattr(module, "answer", None),
}))
"""

# The stand-in counts on the torch module, which outlives a second import.
BEGIN = """
import torch
torch.imports = getattr(torch, "imports", 0) + 1
torch.seen = getattr(torch, "seen", []) + [torch.library.register_fake]
"""
MISSING = """
@torch.library.register_fake("torchvision::nms")
def nms(boxes):
    return boxes
"""
END = "end = 'whole'\n"


def run(script: str, folder: Path | None = None):
    """Run a script in a process that finds the packages in ``folder`` first."""
    path = os.pathsep.join([str(folder)] if folder else [])
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def stand_in(tmp_path):
    """Return a maker of a package "torchvision" with the given text."""

    def make(text: str) -> Path:
        package = tmp_path / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text(BEGIN + "from . import _registrations\n" + END)
        (package / "_registrations.py").write_text("import torch\n" + text)
        return tmp_path

    return make


def test_missing_operators_do_not_matter(stand_in):
    direct = "torch.library.register_fake('torchvision::roi_pool', lambda x: x)"
    folder = stand_in(MISSING + MISSING.replace("nms", "roi_align") + direct)
    assert run(PLAIN, folder) == "RuntimeError: operator torchvision::nms does not exist"
    ours = run(OURS, folder)
    assert ours["error"] is None and ours["end"] == "whole"
    assert ours["imports"] == 2
    assert ours["patched"] == [False, True]
    assert ours["restored"]


def test_an_import_that_works_is_left_alone(stand_in):
    ours = run(OURS, stand_in(""))
    assert ours["error"] is None and ours["end"] == "whole"
    assert ours["imports"] == 1
    assert ours["patched"] == [False]
    assert ours["restored"]


@pytest.mark.parametrize(
    ("text", "said", "imports"),
    [
        ("raise RuntimeError('CUDA fell over')", "CUDA fell over", 1),
        ("import no_such_package_at_all", "no_such_package_at_all", 1),
        (MISSING + "raise RuntimeError('later')", "later", 2),
        (MISSING + MISSING.replace("torchvision::", "other::"), "other::nms does not exist", 2),
        (
            MISSING + "torch.library.register_fake('other::nms', lambda x: x)",
            "other::nms does not exist",
            2,
        ),
    ],
    ids=["runtime", "import", "later", "others", "others directly"],
)
def test_other_failures_are_not_hidden(stand_in, text, said, imports):
    ours = run(OURS, stand_in(text))
    assert said in ours["error"]
    assert "reinstall" in ours["remedy"]
    assert ours["imports"] == imports
    assert ours["restored"]


def test_torchs_compiler_is_not_imported_to_say_no(stand_in):
    """It takes more memory than all of torchvision."""
    asks = "from torch._dynamo.utils import is_compile_supported\n"
    folder = stand_in(f"{asks}import torchvision\ntorchvision.answer = is_compile_supported('cpu')")
    ours = run(OURS, folder)
    assert (ours["error"], ours["end"], ours["imports"]) == (None, "whole", 1)
    assert ours["answer"] is False
    assert not ours["compiler"]


def test_what_else_is_wanted_of_the_compiler_is_the_real_one(stand_in):
    ours = run(OURS, stand_in("from torch._dynamo.exc import TorchDynamoException\n"))
    assert (ours["error"], ours["end"], ours["imports"]) == (None, "whole", 2)
    assert ours["compiler"]


def test_the_real_torchvision():
    """Models, weights' metadata and transforms work, whether the plain import does or not."""
    script = """
from tagger.classify.torchvision_compat import import_torchvision
try:
    import torchvision
    plain = "imported"
except RuntimeError as error:
    plain = str(error)
torchvision = import_torchvision()
import torch
recipe = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
crop = recipe(torch.zeros(3, 300, 400, dtype=torch.uint8))
logits = torchvision.models.squeezenet1_1(num_classes=5).eval()(crop[None])
print(json.dumps([plain, list(logits.shape), torch.library.register_fake is original]))
"""
    plain, shape, restored = run(script)
    assert plain in ("imported", "operator torchvision::nms does not exist")
    assert shape == [1, 5]
    assert restored
