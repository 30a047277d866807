"""The frozen records that travel from one stage to the next.

Paths are ``str`` as :func:`os.fsdecode` gives them; they are stored as bytes (:func:`os.fsencode`).
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Source = Literal["model", "user", "rule", "taught"]
"""Where a tag comes from: the networks, the user himself, his rules or his examples."""


_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def clamped(number: int) -> int:
    """Return the whole number of 64 bits, with a sign, that is nearest to ``number``."""
    if _LEAST <= number <= _MOST:  # nearly always: asked three times for every file of a rescan
        return number
    return min(max(number, _LEAST), _MOST)


class FileStat(NamedTuple):
    """What tells one version of a file from another.

    ``size`` in bytes, ``mtime_ns`` in nanoseconds since the epoch; a date before 1677 or
    after 2262, which 64 bits cannot hold, counts as the nearest that they can. ``inode`` is 0
    on file systems whose inode numbers do not survive a remount. ``ctime_ns`` is when anything
    of the file was changed last, which no program can set; 0 where that is not known.
    """

    # A NamedTuple: two are made for every file of a rescan.

    size: int
    mtime_ns: int
    inode: int = 0
    device: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(
        cls, st: os.stat_result, *, stable_inodes: bool = True, keeps_ctime: bool = True
    ) -> FileStat:
        """Return the record for a result of :func:`os.lstat`."""
        inode = st.st_ino if stable_inodes else 0
        ctime_ns = clamped(st.st_ctime_ns) if keeps_ctime else 0
        return cls(clamped(st.st_size), clamped(st.st_mtime_ns), inode, st.st_dev, ctime_ns)

    @classmethod
    def together(cls, stats: Sequence[FileStat]) -> FileStat | None:
        """Return one record for several files, which is another when any of them is.

        Of one file it is that file's own; None without any.
        """
        if len(stats) < 2:
            return stats[0] if stats else None
        inodes, ctimes = [one.inode for one in stats], [one.ctime_ns for one in stats]
        return cls(
            clamped(sum(one.size for one in stats)),
            max(one.mtime_ns for one in stats),
            functools.reduce(operator.xor, inodes) if all(inodes) else 0,
            stats[0].device,
            max(ctimes) if all(ctimes) else 0,
        )

    def same_version(self, other: FileStat) -> bool:
        """Whether both describe the same version of the file.

        An inode of 0 on either side is not compared; the device never is, for it
        changes when a disk is plugged into another port.
        """
        if (self.size, self.mtime_ns) != (other.size, other.mtime_ns):
            return False
        return self.inode == other.inode or 0 in (self.inode, other.inode)

    def untouched(self, other: FileStat) -> bool:
        """Whether nothing at all happened to the file between both, as far as is known.

        A program may change it and put its date back, which only the ctime tells; but so does
        every change of rights, name or links. So a touched file may still be the same version.
        """
        same = self.ctime_ns == other.ctime_ns or not self.ctime_ns or not other.ctime_ns
        return same and self.same_version(other)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished file that may need tagging, found under the folder ``root``.

    ``sidecar`` is the stat of those that exist of :func:`sidecar_paths`, together. ``rewritten``:
    it may look as before, but was written to, where the file system has no ctime to tell.
    ``incomplete``: it was classified, but a network that is there now has not looked at it.
    """

    path: str
    root: str
    stat: FileStat
    sidecar: FileStat | None = None
    rewritten: bool = False
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class CropSpec:
    """How a model wants its picture: resize the shorter side, then cut the centre.

    ``resize`` and ``size`` in pixels; ``interpolation`` is "bilinear" or "bicubic".
    ``squash``: both sides become ``resize``, so that the crop shows nearly all of the picture.
    The defaults are those of torchvision's ResNet-18 weights.
    """

    resize: int = 256
    size: int = 224
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    squash: bool = False


@dataclass(frozen=True, slots=True)
class ExtraViews:
    """What is wanted of a photo besides the crops of the first network.

    ``crop`` is how a further network wants its crop (None: no such network, or it takes the same
    crops); ``side`` the longer one, in pixels, of a picture of the whole photo (0: none);
    ``thumbnail``: a small grey one, by which copies are found.
    """

    crop: CropSpec | None = None
    side: int = 0
    thumbnail: bool = False


NO_VIEWS = ExtraViews()
THUMBNAIL_SIDE = 64
"""Pixels a side of ``DecodedPhoto.thumbnail``."""

INT8_NAME, INT8_ENDING = "onnx-int8", "-int8"
"""The name of what runs a quantized network, and how its model id ends: nearly the same network."""


def same_network(one: str, other: str) -> bool:
    """Whether two model ids are of the same network, in fp32 or int8."""
    return one.removesuffix(INT8_ENDING) == other.removesuffix(INT8_ENDING)


PHOTO_KINDS = ("screenshot", "panorama", "selfie", "portrait", "burst", "motion photo", "edited")
"""What a file may say it is."""


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What a photo says of itself. Everything unknown is ``None``.

    ``width``/``height`` in pixels as displayed (EXIF orientation applied);
    ``taken_at`` is local time as ISO 8601 without zone, ``YYYY-MM-DDTHH:MM:SS``;
    ``latitude``/``longitude`` in degrees, north and east positive;
    ``kinds`` are those of :data:`PHOTO_KINDS` that it says it is.
    """

    format: str = ""
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    taken_at: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A photo reduced to what the model needs.

    ``crop`` is uint8 RGB of shape (S, S, 3), S = ``CropSpec.size``; ``crop_hash``
    is the BLAKE2b-128 digest of its bytes. ``more`` has shape (K, S, S, 3): further
    crops along the longer side of a photo that is not square (K may be 0).
    ``from_thumbnail``: a small picture that the file carries was used, for it is quick.
    ``other`` is the crop (S, S, 3) of ``ExtraViews.crop``, ``picture`` the whole photo as it
    is displayed, (H, W, 3) with a longer side of ``ExtraViews.side``; None where not asked for.
    ``thumbnail`` is the whole photo in grey without bars, (S, S), S = THUMBNAIL_SIDE; as well.
    """

    crop: NDArray[np.uint8]
    crop_hash: bytes
    facts: PhotoFacts
    more: NDArray[np.uint8] | None = None
    from_thumbnail: bool = False
    other: NDArray[np.uint8] | None = None
    picture: NDArray[np.uint8] | None = None
    thumbnail: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one photo.

    ``probabilities`` float32 (C,), sums to 1; ``features`` float32 (F,), the input
    of the model's last layer (512 for ResNet-18).
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    model_id: str


class Box(NamedTuple):
    """One thing that a detector sees, and where.

    ``class_index`` is what it is, ``score`` how sure the detector is (0…1). ``x`` and ``y`` are the
    left upper corner, ``width`` and ``height`` the size, all relative (0…1) to the picture as
    it is displayed.
    """

    class_index: int
    score: float
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tag:
    """One label on one photo.

    ``label`` is the canonical (English) name, the last element of ``path``, the way from the root
    of the hierarchy down. ``confidence`` is in 0…1 (1 for the user's keywords, and a rule's word).
    """

    label: str
    confidence: float
    path: tuple[str, ...]
    source: Source = "model"

    @property
    def ours(self) -> bool:
        """Whether tagger gave it, and may take it away."""
        return self.source != "user"


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword to write: a :class:`Tag` in the words the user chose to see.

    ``tag`` is the canonical label it stands for (what a tombstone names),
    ``path`` the written names from the root down, ``leaf`` whether it is the most
    specific keyword of its subject (hierarchies are written for leaves only).
    """

    tag: str
    path: tuple[str, ...]
    confidence: float
    leaf: bool = True

    @property
    def name(self) -> str:
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What of ours is in one file, enough to take it away again exactly.

    ``target`` is where it went ("sidecar-xmp", "sidecar-json", "embed");
    ``file`` the file written. ``added`` maps a property's name to the values that
    were really added (not there before), ``tags`` each canonical label to the
    keyword written for it. ``created`` is true when the whole file was made by us.
    ``before``/``after`` are XXH3-128 digests of the file's bytes without and with it
    (empty: no file). ``undo`` is the reverse patch from ``after`` to ``before``; it also
    tells the digest just before the last write. ``reason`` says why tags were not embedded,
    when they should be. ``seen`` is what is to be known of the file when another program has
    written to it, see :mod:`tagger.metadata.user_edits`.
    """

    target: str
    file: str
    added: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, str]
    created: bool
    before: bytes
    after: bytes
    undo: bytes
    reason: str = ""
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


OVERWRITTEN = (
    "another program wrote the file anew, without our tags: they are in the index only, until"
    " `tagger restore` lets them be written again"
)
"""The ``reason`` in the journal of a file that is left to the other program."""
PUT_BACK = "written again after the file was put back as it was before"
"""That of a file that another program or the user put back."""
ANOTHER_TAGGER = "another tagger may have written here meanwhile"
"""That of files that are written anew after a change of sides."""


@dataclass(frozen=True, slots=True)
class WriteReceipt:
    """The outcome of writing one photo's tags.

    ``entries`` tell what of ours is in which file; ``stat`` is the photo's own stat after
    the write, ``sidecar`` the sidecar's (``None`` without one); ``content_hash`` the digest
    of the photo's new bytes (``None``: not written to).
    """

    entries: tuple[JournalEntry, ...]
    stat: FileStat
    sidecar: FileStat | None = None
    content_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of ``tagger failures``; ``retry_at`` None: not until the file changes."""

    path: str
    kind: str
    reason: str
    tries: int
    first_at: float
    last_at: float
    retry_at: float | None


Origin = Literal["given", "folder", "keyword", "answer"]
"""Where an example comes from: named by the user, found in a folder of the config, taken over
from a keyword of the user's, or the answer to a question."""


@dataclass(frozen=True, slots=True)
class TaughtLabel:
    """A label of the user's own. ``path`` leads from the root of the tree down to it.

    ``synonyms`` are further words by which it is found.
    """

    path: tuple[str, ...]
    synonyms: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name, the last of the path."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Example:
    """What the user said of one photo: it shows the label, or not; None: he did not say.

    ``content_hash`` is the digest of the photo's bytes before anything was written to it, ``path``
    where it was. Examples of one ``occasion`` (the same hour and place) are judged together; empty:
    it stands alone. ``features`` are a network's, float16; empty: it has not seen the photo.
    """

    label: str
    content_hash: bytes
    path: str
    positive: bool | None
    origin: Origin = "given"
    occasion: str = ""
    features: bytes = field(default=b"", repr=False)
