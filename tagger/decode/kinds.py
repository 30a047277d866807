"""What kind of photo a file says it is: a screenshot, a panorama, a selfie, …

Only what the file itself states counts, in its EXIF block, its XMP packet, the names in Apple's
MakerNote, the boxes of a HEIF file, or a name that phones give and people do not. Nothing is
guessed from the picture. Sources: Exif 2.32; Adobe's XMP specification; Google's "Photo Sphere
XMP metadata" and "Motion Photo format 1.0"; ExifTool's Samsung.pm and tag names for Apple.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from tagger.records import PHOTO_KINDS

_USER_COMMENT, _CUSTOM_RENDERED = ExifTags.Base.UserComment, ExifTags.Base.CustomRendered
_PANORAMA, _PORTRAITS = 6, (7, 8)
"""What Apple writes as CustomRendered."""
_BURST_UUID, _CONTENT_ID, _CAPTURE_TYPE = 0x0B, 0x11, 0x14
"""Tags of Apple's MakerNote. A photo with a content identifier belongs to a short film."""
_CAPTURED_PORTRAIT = 2

_NAMES: dict[str, str] = {
    # Android, iOS, Windows, macOS, GNOME, KDE; in the languages that name it otherwise.
    "screenshot": r"(screen[ _-]?shot|bildschirmfoto|capture d.écran|"
    r"captura de (pantalla|tela|ecrã)|schermata|schermafbeelding|skärmavbild|skjermbilde|"
    r"zrzut ekranu|снимок экрана|截屏|截图|屏幕截图|螢幕截圖|螢幕快照|スクリーンショット|스크린샷)"
    r"([ _-]?[\d(].*|[ _-](from|at|am|du|de|от)?.*\d{4}.*)?",
    "panorama": r"pano_\d{8}_.*|.*[_.]pano(rama)?([_.-].*)?|img_\d{8}_\d{6}_pano.*",
    "portrait": r"pxl_\d{8}_\d{9}\.portrait.*|\d{5}[a-z]?portrait_.*|img_\d{8}_\d{6}.*_bokeh.*|"
    r"img_\d{8}_\d{6}_portrait.*",
    "burst": r"(\d{5}[a-z]*)?img_\d+_burst\d+.*|.*_burst\d{3,}.*|\d{5}x?trct_.*_burst.*",
    "motion photo": r"mvimg_\d{8}_\d{6}.*|pxl_\d{8}_\d{9}(\..+)?\.mp(~\d+)?",
    "edited": r"img_e\d{4}|pxl_\d{8}_\d{9}.*~\d+|.*-edited(\(\d+\))?|img_\d{8}_\d{6}.*~\d+|"
    r".*_snapseed",
}
_NAMED = {kind: re.compile(pattern) for kind, pattern in _NAMES.items()}

_PACKET: dict[str, str] = {
    "panorama": r"GPano:(ProjectionType|UsePanoramaViewer|FullPanoWidthPixels)\b",
    "portrait": r"SpecialType-PORTRAIT|GCamera:PortraitVersion|portraiteffectsmatte",
    "burst": r"GCamera:BurstID\b",
    "motion photo": r"(GCamera:MicroVideo|(GCamera|Camera):MotionPhoto)\s*(=\s*[\"']1|>\s*1)",
    "screenshot": r"UserComment[^A-Za-z]{0,200}(<[^>]*>\s*)*Screenshot",
    "edited": r"crs:HasSettings\s*(=\s*[\"']True|>\s*True)|stEvt:softwareAgent",
}
_IN_PACKET = {kind: re.compile(pattern.encode()) for kind, pattern in _PACKET.items()}

_EDITORS = re.compile(
    r"photoshop|lightroom|gimp|snapseed|affinity|capture one|darktable|rawtherapee|pixelmator|"
    r"luminar|dxo|acdsee|paint\.net|picasa|vsco|photodirector|photo ?editor|picsart|meitu",
    re.IGNORECASE,
)
_FRONT = re.compile(r"\bfront\b.*\bcamera\b", re.IGNORECASE)
_TRAILER = 4096
"""Bytes at the end of a JPEG in which the directory of Samsung's trailer lies."""
_DESCRIBED = 1 << 16
"""Bytes at the beginning of a HEIF file with the boxes that describe what it holds."""
_MOST_BOXES = 64
_MOTION = 0x0A30
_MATTE = b"urn:com:apple:photo:2018:aux:portraiteffectsmatte"


def kinds_of(
    name: str,
    main: Mapping[int, Any],
    details: Mapping[int, Any],
    packet: bytes = b"",
    parts: bytes = b"",
) -> tuple[str, ...]:
    """Return what the photo says it is, in the order of :data:`PHOTO_KINDS`.

    ``name`` is the file's, ``main`` and ``details`` are the first directory of its EXIF block
    and its Exif directory, ``packet`` its XMP, ``parts`` what :func:`parts_of` returns.
    """
    stem = name.rpartition(".")[0].casefold() or name.casefold()
    rendered = details.get(_CUSTOM_RENDERED)
    maker = dict(_apple(details.get(ExifTags.Base.MakerNote)))
    told = {
        "screenshot": _comment(details.get(_USER_COMMENT)) == "screenshot",
        "panorama": rendered == _PANORAMA,
        "selfie": _FRONT.search(_text(details.get(ExifTags.Base.LensModel))),
        "portrait": rendered in _PORTRAITS
        or maker.get(_CAPTURE_TYPE) == _CAPTURED_PORTRAIT
        or _MATTE in parts,
        "burst": _BURST_UUID in maker,
        "motion photo": _CONTENT_ID in maker or b"mpvd" in parts or _MOTION in _samsung(parts),
        "edited": _EDITORS.search(_text(main.get(ExifTags.Base.Software))),
    }
    found = {kind for kind, said in told.items() if said}
    found |= {kind for kind, pattern in _NAMED.items() if pattern.fullmatch(stem)}
    found |= {kind for kind, pattern in _IN_PACKET.items() if pattern.search(packet)}
    return tuple(kind for kind in PHOTO_KINDS if kind in found)


def packet_of(image: Image.Image) -> bytes:
    """Return the XMP packet of an opened image, empty when it has none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode("utf-8", "replace") if isinstance(packet, str) else bytes(packet)


def parts_of(image_format: str | None, source: BinaryIO) -> bytes:
    """Return what tells the parts of a file, which stays where it is read.

    Of HEIF it is the beginning and the types of all its boxes: a film stands in one behind the
    picture. Of a JPEG it is the end.
    """
    at = source.tell()
    try:
        if image_format in ("HEIF", "AVIF"):
            source.seek(0)
            return source.read(_DESCRIBED) + b" ".join(_box_types(source))
        if image_format in ("JPEG", "MPO"):
            size = source.seek(0, os.SEEK_END)
            source.seek(max(0, size - _TRAILER))
            return source.read()
        return b""
    finally:
        source.seek(at)


def _box_types(source: BinaryIO) -> Iterator[bytes]:
    """Yield the types of the outermost boxes of a file (ISO/IEC 14496-12, 4.2)."""
    at = 0
    for _ in range(_MOST_BOXES):
        source.seek(at)
        head = source.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        yield head[4:8]
        at += length
        if length < 8 or at >= 1 << 62:  # it is the last one, or none
            return


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip("\0 ") if value is not None else ""


def _comment(value: object) -> str:
    """Return EXIF's UserComment without the eight bytes that name its encoding."""
    if isinstance(value, bytes):
        if value[:8] == b"UNICODE\0":
            return value[8:].replace(b"\0", b"").decode("latin-1").strip().casefold()
        value = value[8:] if value[:8] in (b"ASCII\0\0\0", bytes(8)) else value
    return _text(value).casefold()


def _apple(note: object) -> Iterator[tuple[int, int]]:
    """Yield tag and value (its offset, if it does not fit) of Apple's MakerNote.

    It is a directory as TIFF's, big-endian, behind ``Apple iOS``, a zero, two bytes of version
    and ``MM``.
    """
    if not isinstance(note, bytes) or note[:10] != b"Apple iOS\0" or note[12:14] != b"MM":
        return
    count = int.from_bytes(note[14:16])
    for at in range(16, min(16 + 12 * count, len(note) - 11), 12):
        tag, kind, _, value = struct.unpack_from(">HHII", note, at)
        yield tag, value >> 16 if kind == 3 else value


def _samsung(end: bytes) -> Iterator[int]:
    """Yield the types of the parts that Samsung's trailer lists; none if it does not end there.

    It ends in ``SEFH``, a version, the number of entries (of 12 bytes: zeros, the type, where the
    part begins, its length), the length of all that, and ``SEFT``; numbers are little-endian.
    """
    if not end.endswith(b"SEFT") or len(end) < 8:
        return
    start = len(end) - 8 - int.from_bytes(end[-8:-4], "little")
    if start < 0 or end[start : start + 4] != b"SEFH":
        return
    for at in range(start + 12, len(end) - 8 - 11, 12):
        yield int.from_bytes(end[at + 2 : at + 4], "little")
