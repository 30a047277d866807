"""Which file system is a path on, and can its events, times and inodes be trusted?

Read from ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)); without it, everything
counts as an unknown local file system.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from tagger.records import FileStat
from tagger.system.paths import is_inside

MOUNTINFO = "/proc/self/mountinfo"

_REMOTE = frozenset(
    "9p afs autofs beegfs ceph cifs coda davfs glusterfs gpfs lustre ncpfs nfs nfs4 "
    "ocfs2 gfs2 orangefs prl_fs smb3 smbfs vboxsf virtiofs vmhgfs".split()
)
"""File systems that others change without this kernel knowing: no events, no leases."""
_UNSTABLE_INODES = frozenset("vfat msdos exfat fuseblk overlay aufs iso9660 udf".split())
"""Local ones whose inode numbers do not survive a remount."""

_NO_CTIME = frozenset("vfat msdos exfat fuseblk".split())
"""Local ones that keep no ctime on the disk: it is made up from another time when they are read.
That of fuseblk may be exFAT too."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system.

    ``remote``: changes can be made that this kernel does not see. ``stable_inodes``: a file keeps
    its inode number when the disk is mounted again. ``keeps_ctime``: a file's ctime tells that it
    was changed, and is there after a remount too.
    """

    # Found out once, as they are asked for every file of a rescan.

    mountpoint: str
    fstype: str
    source: str = ""
    remote: bool = field(init=False, repr=False)
    stable_inodes: bool = field(init=False, repr=False)
    keeps_ctime: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kind = self.fstype
        # fuseblk (ntfs-3g) sits on a disk of ours; other FUSE may show anything.
        remote = kind in _REMOTE or kind.startswith("fuse.") or kind == "fuse"
        object.__setattr__(self, "remote", remote)
        object.__setattr__(self, "stable_inodes", not remote and kind not in _UNSTABLE_INODES)
        object.__setattr__(self, "keeps_ctime", not remote and kind not in _NO_CTIME)

    def version(self, st: os.stat_result) -> FileStat:
        """Return what tells this version of a file that is on it from others."""
        return FileStat.of(st, stable_inodes=self.stable_inodes, keeps_ctime=self.keeps_ctime)


UNKNOWN = Mount(os.sep, "unknown")


class Mounts:
    """The mounted file systems, the later ones covering the earlier."""

    def __init__(self, text: str) -> None:
        """Parse ``text``, the content of a mountinfo file."""
        mounts = []
        for line in text.split("\n"):
            left, found, right = line.partition(" - ")
            fields, kind = left.split(" "), right.split(" ")
            if found and len(fields) >= 5 and len(kind) >= 2:
                mounts.append(Mount(_unescape(fields[4]), kind[0], _unescape(kind[1])))
        self._mounts = tuple(mounts)

    def of(self, path: str) -> Mount:
        """Return the mount that holds ``path`` (absolute, without links)."""
        best = UNKNOWN
        for mount in self._mounts:
            longer = best is UNKNOWN or len(mount.mountpoint) >= len(best.mountpoint)
            if longer and is_inside(path, mount.mountpoint):
                best = mount
        return best

    def below(self, path: str) -> tuple[Mount, ...]:
        """Return the mounts inside the folder ``path``, itself left out."""
        return tuple(
            m for m in self._mounts if m.mountpoint != path and is_inside(m.mountpoint, path)
        )


def is_remote(path: str) -> bool:
    """Whether ``path`` (absolute, without links) is on a disk of another machine, or may be."""
    return Mounts(read_mountinfo()).of(path).remote


def read_mountinfo(path: str = MOUNTINFO) -> str:
    """Return the text that lists what is mounted now; "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: os.fsdecode(bytes([int(m[1], 8)])), text)
