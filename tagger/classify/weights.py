"""Weights files: where they are looked for, and which of them is right.

Nothing here imports torch.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence

from tagger.classify.catalog import ModelInfo, info_of_file, weights_of
from tagger.classify.torch_installed import torch_installed
from tagger.errors import ModelError, WeightsNotFoundError
from tagger.system.files import replace_atomically

FIRST_DIGEST = ".sha256"
"""Ends the name of the file that keeps the hash of a first download."""
BRING = (
    "convert it on a machine with torch (`tagger model convert --to FILE`) and run `tagger model "
    "import FILE` here, or install torch beside tagger (`tagger[torch]`)"
)
"""What to do where weights cannot be converted."""
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_RIGHTS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR})


def models_dir(state_dir: str) -> str:
    """Return where the weights of a state directory are."""
    return os.path.join(state_dir, "models")


def places(
    *, configured: str | None, state_dir: str, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the files and folders where the weights of any model are looked for, in order."""
    found = [configured] if configured else []
    if folder := environ.get("TAGGER_MODEL_DIR"):
        found.append(os.path.expanduser(folder))
    found.append(models_dir(state_dir))
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    torch_home = environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    found.append(os.path.join(os.path.expanduser(torch_home), "hub", "checkpoints"))
    return tuple(found)


def find_weights(
    name: str,
    *,
    configured: str | None,
    state_dir: str,
    environ: Mapping[str, str] = os.environ,
    digest: Callable[[str], str] | None = None,
) -> str:
    """Return the path of the weights file of a model of any kind.

    In a folder, the published file names come first, then ``NAME.pth``, then
    ``NAME-*.pth``. Raise WeightsNotFoundError, saying what to put where, when there is
    none; ModelError when the model is unknown, or a file with a published name does not
    have the published hash or that of the first download (``digest`` tells its own, if it is
    given).
    """
    known = weights_of(name)
    files = [info.file for info in known]
    looked = places(configured=configured, state_dir=state_dir, environ=environ)
    for place in looked:
        a_file = os.path.isfile(place) and not place.endswith(".onnx")
        found = place if a_file else _in_folder(name, place, files)
        if found:
            _verify(found, info_of_file(name, os.path.basename(found)), digest or file_digest)
            return found
    if known[0].kind != "detector" and not torch_installed():
        raise WeightsNotFoundError(
            f"no converted network of {name} found in {models_dir(state_dir)}, and torch, which "
            "converts weights, is not installed",
            BRING,
        )
    raise WeightsNotFoundError(
        f"no weights of {name} found in {', '.join(looked)}",
        f"run `tagger model download{_named(known[0])}`, or fetch "
        f"{known[0].address} on another machine and put {files[0]} into {models_dir(state_dir)}",
    )


def ready_file(name: str, places: Sequence[str]) -> str | None:
    """Return ``NAME.onnx``, a converted network, in the first of ``places`` that has it."""
    for place in places:
        path = place if place.endswith(".onnx") else os.path.join(place, f"{name}.onnx")
        if os.path.isfile(path):
            return path
    return None


def _in_folder(name: str, folder: str, files: list[str]) -> str | None:
    try:
        there = sorted(os.listdir(folder))
    except OSError:
        return None  # most of the places do not exist
    wanted = [file for file in (*files, f"{name}.pth") if file in there]
    wanted += [file for file in there if fnmatch.fnmatchcase(file, f"{name}-*.pth")]
    return next((p for p in (os.path.join(folder, f) for f in wanted) if os.path.isfile(p)), None)


def _verify(path: str, info: ModelInfo, digest: Callable[[str], str]) -> None:
    """Raise ModelError when the file carries a published name but other content."""
    if os.path.basename(path) != info.file:
        return
    expected = info.hash_prefix or first_digest(path)
    if not digest(path).startswith(expected):
        raise ModelError(
            f"the weights file {path} is damaged: its SHA-256 does not begin with {expected}",
            f"delete it and run `tagger model download{_named(info)}`",
        )


def _named(info: ModelInfo) -> str:
    """Return what to say after `tagger model download` to get this file."""
    return "" if info.kind == "subjects" else f" {info.name}"


def first_digest(path: str) -> str:
    """Return the SHA-256 that a file had when it was first downloaded; "" if it was not."""
    try:
        with open(path + FIRST_DIGEST, encoding="ascii") as file:
            said = file.read(200).split()
    except (OSError, ValueError):
        return ""
    return said[0] if said and re.fullmatch("[0-9a-f]{64}", said[0]) else ""


def keep_digest(path: str) -> None:
    """Remember the SHA-256 of a file just downloaded, as ``sha256sum`` writes it."""
    text = f"{file_digest(path)}  {os.path.basename(path)}\n"
    replace_atomically(path + FIRST_DIGEST, text.encode("ascii"))


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raise ModelError when it is unreadable."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"cannot read the weights file {path}: {error.strerror}", "check its rights"
        ) from error
