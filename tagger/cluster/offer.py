"""What the daemon offers a worker, and what each must have in common with the other."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tagger import __version__
from tagger.cluster.messages import PROTOCOL, path_text, text_path
from tagger.config.schema import DecodeConfig
from tagger.pipeline.portable_networks import PortableNetwork
from tagger.system.paths import is_inside
from tagger.text.parsing import parse_json

LIBRARIES = ("pillow", "pillow_heif", "rawpy", "onnxruntime")
"""What decodes photos and runs networks: other versions may see another picture, or say else."""

Ids = tuple[str | None, str | None, str | None]
"""Model ids: of subjects, of scenes, of the detector."""


@dataclass(frozen=True, slots=True)
class SharedRoot:
    """A watched folder: its path here, on the worker, and the identifier in its marker."""

    path: str
    there: str
    marker: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """All that a worker needs to look at photos as the daemon does."""

    networks: tuple[PortableNetwork, ...]
    decode: DecodeConfig
    crops: int
    roots: tuple[SharedRoot, ...]

    @property
    def ids(self) -> Ids:
        known = {one.kind: one.model_id for one in self.networks}
        return (known.get("subjects"), known.get("scenes"), known.get("detector"))

    @property
    def files(self) -> tuple[str, ...]:
        """The SHA-256 of all files of the networks."""
        return tuple(file for network in self.networks for file in network.files)

    def to_bytes(self) -> bytes:
        said = {
            "protocol": PROTOCOL,
            "version": __version__,
            "libraries": libraries(),
            "networks": [dataclasses.asdict(one) for one in self.networks],
            "decode": dataclasses.asdict(self.decode),
            "crops": self.crops,
            "roots": [
                [path_text(root.path), path_text(root.there), root.marker] for root in self.roots
            ],
        }
        return json.dumps(said).encode("ascii")

    @staticmethod
    def from_said(said: Mapping[str, Any]) -> Offer:
        """Return what :meth:`to_bytes` made. Raise ValueError, KeyError or TypeError."""
        return Offer(
            tuple(PortableNetwork(**one) for one in said["networks"]),
            DecodeConfig(**said["decode"]),
            int(said["crops"]),
            tuple(
                SharedRoot(text_path(path), text_path(there), marker)
                for path, there, marker in said["roots"]
            ),
        )


def libraries() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def difference(data: bytes) -> tuple[dict[str, Any], str]:
    """Return an offer as it was said, and how this installation differs from the daemon's.

    The second is empty when nothing does, else it says what to do as well.
    """
    try:
        said = parse_json(data)
        theirs = {"tagger": str(said["version"])} | dict(said["libraries"])
        protocol = said["protocol"]
    except (ValueError, KeyError, TypeError) as error:
        return {}, f"its offer cannot be read ({error!r}); install the same version of tagger"
    ours = {"tagger": __version__} | libraries()
    other = [
        f"{name} {ours.get(name, 'is missing')} instead of {version}"
        for name, version in theirs.items()
        if ours.get(name) != version
    ]
    if other:
        wanted = " ".join(f"{name}=={version}" for name, version in theirs.items())
        return said, f"it has {', '.join(other)}; install there `pip install {wanted}`"
    if protocol != PROTOCOL:
        return said, "it speaks another protocol; install the same version of tagger"
    return said, ""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def mapped(path: str, paths: Mapping[str, str]) -> str:
    """Return how workers see ``path``, by the folders of ``paths``: the innermost counts."""
    best = max((one for one in paths if is_inside(path, one)), key=len, default=None)
    if best is None:
        return path
    rest = path[len(best.rstrip("/")) :].lstrip("/")
    there = paths[best].rstrip("/") or "/"
    return os.path.join(there, rest) if rest else there
