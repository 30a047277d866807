"""One system call refused again and again, all others allowed: what can be done is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import jpegs, packets
from tests.support.metadata_tools import left_behind
from tests.unit.metadata.test_faults import Child, child, contents

__all__ = ["child"]

NICETIES = ("fchmod", "fchown", "utimensat", "flistxattr", "fsetxattr", "linkat", "renameat2")
"""Without any of these a new sidecar can be written."""
ERRORS = ("EPERM", "EACCES", "EOPNOTSUPP", "EINVAL", "ENOSYS", "EROFS", "EIO")
WRITTEN, REFUSED = 0, 1


def refuse(child: Child, action: str, call: str, error: str) -> int:
    return child.run(action, "-e", f"inject={call}:error={error}")


def fresh(folder: Path, *, sidecar: bool = False) -> Path:
    for path in folder.iterdir():
        path.unlink()
    photo = folder / "a.jpg"
    photo.write_bytes(jpegs.MAKERS["lightroom"]())
    photo.chmod(0o644)
    os.utime(photo, ns=(10**18, 10**18 + 5))
    if sidecar:
        (folder / "a.jpg.xmp").write_bytes(packets.DARKTABLE)
    return photo


@pytest.mark.parametrize("action", ["sidecar", "json"])
def test_a_new_sidecar_does_without(action: str, child: Child) -> None:
    new = "a.jpg.xmp" if action == "sidecar" else "a.jpg.tags.json"
    for call in NICETIES:
        for error in ERRORS:
            fresh(child.folder)
            code = refuse(child, action, call, error)
            assert (code, sorted(os.listdir(child.folder))) == (WRITTEN, ["a.jpg", new]), (
                f"{call} {error}"
            )
            assert b"dog" in (child.folder / new).read_bytes()
            mode = (child.folder / new).stat().st_mode & 0o777
            assert mode == 0o644, f"{call} {error}: {mode:o}"
    assert child.calls()["renameat2"] >= 1


@pytest.mark.parametrize("action", ["embed", "sidecar"])
def test_what_is_replaced_keeps_all_or_is_not_replaced(action: str, child: Child) -> None:
    for call in NICETIES:
        for error in ERRORS:
            photo = fresh(child.folder, sidecar=action == "sidecar")
            replaced = photo if action == "embed" else photo.with_name("a.jpg.xmp")
            old, before = contents(child.folder), replaced.stat()
            code = refuse(child, action, call, error)
            now, after = contents(child.folder), replaced.stat()
            what = f"{call} {error}"
            assert code in (WRITTEN, REFUSED), what
            assert left_behind(child.folder) == [], what
            assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid), what
            if action == "embed":
                assert after.st_mtime_ns == before.st_mtime_ns, what
            if code == REFUSED:
                assert now == old, what
            elif now[replaced.name] == old[replaced.name]:
                assert b"dog" in now["a.jpg.xmp"], what  # beside it instead
            if call in ("fchmod", "fchown", "linkat", "renameat2"):
                assert code == WRITTEN and now[replaced.name] != old[replaced.name], what


@pytest.mark.parametrize("action", ["embed", "sidecar", "json"])
def test_a_disk_without_fsync_is_written_to(action: str, child: Child) -> None:
    for error in ("EPERM", "EACCES", "EOPNOTSUPP", "EINVAL", "ENOSYS"):
        fresh(child.folder)
        assert refuse(child, action, "fsync", error) == WRITTEN
        assert left_behind(child.folder) == []
    for error in ("EIO", "EROFS"):
        fresh(child.folder)
        old = contents(child.folder)
        assert refuse(child, action, "fsync", error) == REFUSED
        assert contents(child.folder) == old


@pytest.mark.parametrize("action", ["embed", "sidecar", "json"])
def test_where_nothing_is_deleted_one_file_stays(action: str, child: Child) -> None:
    fresh(child.folder)
    for error in ERRORS:
        for _ in range(2):
            assert refuse(child, action, "unlinkat", error) in (WRITTEN, REFUSED)
            assert len(left_behind(child.folder)) <= 1, error
    assert b"dog" in b"".join(contents(child.folder).values())


@pytest.mark.parametrize("action", ["embed", "sidecar", "json"])
def test_where_nothing_is_renamed_a_new_sidecar_is_linked(action: str, child: Child) -> None:
    """A photo is not replaced then, and nothing is left."""
    for error in ERRORS:
        photo = fresh(child.folder)
        old = photo.read_bytes()
        code = child.run(action, "-e", f"inject=?rename,?renameat,?renameat2:error={error}")
        assert code == (REFUSED if action == "embed" else WRITTEN), error
        assert photo.read_bytes() == old
        assert left_behind(child.folder) == []
        assert len(os.listdir(child.folder)) == (1 if action == "embed" else 2)
