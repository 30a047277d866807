"""Embedding XMP into HEIC, AVIF and TIFF by exiftool, on a copy that is checked.

exiftool is called as a program, once for each step, with a time limit; it never sees the
photo itself for writing. It puts in, as it is, the packet that :mod:`~tagger.metadata.xmp` made.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from tagger.errors import MetadataError, RefusedError
from tagger.metadata.containers import image_digest
from tagger.metadata.xmp.edit import PACKET_ID
from tagger.system.paths import PHOTO_SUFFIXES

SECONDS = 60.0


def find_exiftool() -> str | None:
    """Return the path of the program, None when it is not installed."""
    return shutil.which("exiftool")


def replaced(path: str, data: bytes, packet: bytes | None) -> bytes:
    """Return the file ``data``, called ``path``, with ``packet`` as its XMP (None: without).

    Raise RefusedError when exiftool is not there, fails, or has changed the picture.
    """
    suffix = _suffix(path)
    shown = image_digest.digest(data)
    with tempfile.TemporaryDirectory(prefix="tagger-exiftool-") as folder:
        source = os.path.join(folder, f"{secrets.token_hex(4)}{suffix}")
        target = os.path.join(folder, f"{secrets.token_hex(4)}-new{suffix}")
        Path(source).write_bytes(data)
        argument = "-XMP="
        if packet is not None:
            Path(folder, "packet.xmp").write_bytes(packet)
            argument = f"-XMP<={folder}/packet.xmp"
        _run("-q", "-q", "-o", target, argument, source)
        try:
            made = Path(target).read_bytes()
        except OSError as error:
            raise RefusedError("exiftool did not write it") from error
        if packet_of(target) != packet:
            raise RefusedError("exiftool did not put the XMP in as it was given")
        if image_digest.digest(made) != shown:
            raise RefusedError("exiftool would have changed the picture")
    return made


def wrapped(packet: bytes) -> bytes:
    """Return the packet between the marks that exiftool puts around one without."""
    if b"<?xpacket end=" in packet:
        return packet
    begin = f"<?xpacket begin='\ufeff' id='{PACKET_ID}'?>\n"
    return begin.encode() + packet + b"\n<?xpacket end='w'?>"


def packet_of_bytes(path: str, data: bytes) -> bytes | None:
    """Return the XMP packet in the file ``data``, called ``path``; None without one."""
    with tempfile.TemporaryDirectory(prefix="tagger-exiftool-") as folder:
        source = os.path.join(folder, "photo" + _suffix(path))
        Path(source).write_bytes(data)
        return packet_of(source)


def packet_of(path: str) -> bytes | None:
    """Return the XMP packet in a file, as it stands there; None without one."""
    return _run("-b", "-XMP", path) or None


def _suffix(path: str) -> str:
    """Return the ending of the file's name, if it is one without surprises for exiftool."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix if suffix in PHOTO_SUFFIXES else ""


def _run(*arguments: str) -> bytes:
    program = find_exiftool()
    if program is None:
        raise RefusedError("exiftool is not installed")
    # Without a configuration file: what a user has there is not known to be harmless.
    command = [program, "-config", "", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"exiftool took more than {SECONDS:.0f} s") from error
    except OSError as error:
        raise MetadataError(f"cannot run {program}: {error.strerror}", "reinstall it") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[0].split(" - /")[0] if said else f"it ended with {done.returncode}"
        raise RefusedError(f"exiftool refuses it: {reason}")
    return done.stdout
