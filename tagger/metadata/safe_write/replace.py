"""Replacing a file so that there is never a third state: the old file or the new one.

The new content goes to a temporary file beside the old one, with its owner, mode, extended
attributes, ACL and (if wanted) its date. The disk begins to write at once; meanwhile what else is
to be proved of the content is proved, then all is read back and compared. When it is fsynced, of
several files at once if need be, the two change places. Where the kernel can swap two names in one
step, what was replaced is looked at once more, and swapped back when it is not what was read: an
edit by another program in the last microsecond is not lost.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from dataclasses import dataclass, replace

from tagger.errors import PhotoChangedError, PhotoVanishedError, RefusedError
from tagger.metadata.safe_write.attributes import FileAttributes, dress_as, dress_like
from tagger.metadata.safe_write.content import Content, Spliced
from tagger.metadata.safe_write.folder_capabilities import (
    REFUSED,
    FolderCapabilities,
    locked,
    powers_in,
)
from tagger.metadata.safe_write.original import Original, failed
from tagger.metadata.safe_write.temporary import make_temporary, remove_temporary, temporary_name
from tagger.metadata.safe_write.written import check_written, start_writeback, write_content
from tagger.system.mounts import is_remote
from tagger.system.open_beneath import EXCHANGE, NOREPLACE, Beneath, Folder

log = logging.getLogger(__name__)

_NO_FSYNC = frozenset(
    {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES}
)
"""What fsync(2) fails with where there is no such thing; nothing is broken then."""


@dataclass(slots=True)
class Staged:
    """A change that is ready: :meth:`commit` makes it visible, :meth:`discard` forgets it.

    ``original`` None: a new file; only its stat is kept, for a batch may be of large files. The new
    content is in ``temporary``, or behind the descriptor ``nameless``; with ``going`` there is
    none, and the file is to be deleted. ``placed`` is the stat of what was put in place, whatever
    has taken its place since. All is done in the open ``folder``, wherever its path leads by then.
    """

    path: str
    folder: Folder
    original: Original | None
    powers: FolderCapabilities
    going: bool = False
    temporary: str = ""
    nameless: int = -1
    written: int = -1
    done: bool = False
    placed: os.stat_result | None = None

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return os.path.basename(self.path)

    def sync(self) -> None:
        """Let the new content reach the disk, once. For any thread, one at a time.

        Raise WriteFailedError; nothing is left behind then.
        """
        if self.written < 0:
            return
        fd, self.written = self.written, -1
        try:
            try:
                os.fsync(fd)
            except OSError as error:
                if error.errno not in _NO_FSYNC:
                    raise
            finally:
                if fd != self.nameless:
                    os.close(fd)
            # Linux's client of SMB takes the time of the next close for the date of a file that was
            # written: let that close be this one, and not that of whoever looks at the photo.
            if self.temporary:
                with contextlib.suppress(PermissionError):  # its mode may let nobody read it
                    os.close(self.folder.open(self.temporary))
        except OSError as error:
            self.discard()
            raise failed("write", self.path, error) from error

    def commit(self, *, sync_folder: bool = True) -> None:
        """Put the new content in place, durably; without ``sync_folder`` only with that.

        Raise PhotoChangedError when the file is not the one that was read any more, and
        WriteFailedError; the file is then untouched and nothing is left behind.
        """
        try:
            self.sync()
            self._check_unchanged(self.name)
            if self.going:
                self._disappear()
            else:
                named = self.nameless < 0
                made = self.folder.stat(self.temporary) if named else os.fstat(self.nameless)
                if self.original is None:
                    self._appear()
                else:
                    self._replace()
                self.placed = self._as_placed(made)
            if sync_folder:
                self.sync_folder()
            self.done = True
        except OSError as error:
            raise failed("write", self.path, error) from error
        finally:
            self.discard()

    def _as_placed(self, made: os.stat_result) -> os.stat_result:
        """Return the stat of what was ``made``, now that it is in place.

        Another date than before is another program's edit, which the next look must see. But
        a client of SMB tells the server's date only when the file has got its name.
        """
        try:
            now = self.folder.stat(self.name)
        except OSError:
            return made  # gone again, as the next look will see
        same = (now.st_ino, now.st_size) == (made.st_ino, made.st_size)
        if same and now.st_mtime_ns == made.st_mtime_ns:
            return now  # with the ctime that its new name gave it
        return now if same and is_remote(os.path.realpath(self.path)) else made

    def discard(self) -> None:
        """Remove the temporary file."""
        if self.written >= 0 and self.written != self.nameless:
            os.close(self.written)
        self.written = -1
        if self.temporary:
            remove_temporary(self.folder, self.temporary)
            self.temporary = ""
        if self.nameless >= 0:
            os.close(self.nameless)
            self.nameless = -1

    def _check_unchanged(self, name: str, *, swapped: bool = False) -> None:
        now = None
        with contextlib.suppress(FileNotFoundError):
            now = _identity(self.folder.stat(name), swapped)
        if now != (_identity(self.original.stat, swapped) if self.original else None):
            raise PhotoChangedError(
                f"{self.path} was changed by another program meanwhile", "it is looked at again"
            )

    def _appear(self) -> None:
        """Give the new file its name, unless something has that name already."""
        try:
            if self.nameless >= 0:
                self.folder.link_open(self.nameless, self.name)
                return
            if _rename(self.folder, self.temporary, self.name, NOREPLACE):
                return
            if self.powers.deletes:  # else it would keep both names
                try:
                    self.folder.link(self.temporary, self.name)
                    return
                except OSError as error:
                    if error.errno not in REFUSED | {errno.EMLINK}:
                        raise
            self._check_unchanged(self.name)  # a disk without hard links
            self.folder.rename(self.temporary, self.name)
        except FileExistsError as error:
            raise PhotoChangedError(
                f"{self.path} was made by another program meanwhile", "it is looked at again"
            ) from error

    def _disappear(self) -> None:
        """Delete the file: first moved away and looked at once more, as in a swap."""
        aside = temporary_name()
        if not _rename(self.folder, self.name, aside, NOREPLACE):
            self.folder.unlink(self.name)
            return
        self.temporary = aside
        try:
            self._check_unchanged(aside, swapped=True)
        except BaseException:
            self.temporary = ""  # never deleted, whatever happens
            if not _rename(self.folder, aside, self.name, NOREPLACE):
                self.folder.rename(aside, self.name)
            raise

    def _replace(self) -> None:
        # What is swapped has to be deleted afterwards.
        try:
            swapped = self.powers.deletes and _rename(
                self.folder, self.temporary, self.name, EXCHANGE
            )
        except FileNotFoundError as error:
            raise PhotoVanishedError(f"{self.path} is gone", "nothing to do") from error
        if not swapped:
            self.folder.rename(self.temporary, self.name)
            return
        try:
            self._check_unchanged(self.temporary, swapped=True)
        except BaseException:
            self._swap_back()
            raise

    def _swap_back(self) -> None:
        foreign, self.temporary = self.temporary, ""  # never deleted, whatever happens
        with contextlib.suppress(OSError):
            if _rename(self.folder, foreign, self.name, EXCHANGE):
                self.temporary = foreign
                return
        self.folder.rename(foreign, self.name)

    def sync_folder(self) -> None:
        """Let the new name reach the disk. The file has it already: what fails here is told."""
        try:
            self.folder.fsync()
        except OSError as error:
            level = logging.DEBUG if error.errno in _NO_FSYNC else logging.WARNING
            log.log(
                level,
                "%s is written, but whether it outlives a power cut is not known: fsync of its "
                "folder failed (%s)",
                self.path,
                error.strerror,
            )


def _identity(st: os.stat_result, swapped: bool) -> tuple[int, ...]:
    ctime = 0 if swapped else st.st_ctime_ns  # renaming a file changes it
    return st.st_ino, st.st_dev, st.st_size, st.st_mtime_ns, st.st_nlink, ctime


def stage(
    path: str,
    data: Content | None,
    original: Original | None,
    below: Beneath,
    *,
    like: os.stat_result | None = None,
    keep_mtime: bool = False,
) -> Staged:
    """Write ``data`` (None: nothing, the file is to go) beside ``path``, ready to replace it.

    ``original`` is what is there now (None: nothing), ``below`` as in :func:`read_original`. A
    new file gets the owner and the access rights of ``like``, as far as that can be. Raise
    WriteFailedError when the disk or the rights refuse, RefusedError when the file's owner,
    rights or date could not be kept, or the content must not be written.
    """
    staged: Staged | None = None
    try:
        folder, name = below.at(path)
        powers = powers_in(folder)
        kept = replace(original, data=b"") if original is not None else None
        staged = Staged(path, folder, kept, powers, going=data is None)
        if original is not None:
            if original.stat.st_nlink > 1 and data is not None:
                raise RefusedError(f"it has {original.stat.st_nlink} hard links")
            if not original.stat.st_mode & 0o222 and data is not None:
                raise RefusedError("it is write-protected")
            if why := locked(folder, name):
                raise RefusedError(why)
            if not powers.deletes and not powers.renames:
                raise RefusedError("nothing can be replaced in its folder")
        if data is None:
            if not powers.deletes:
                raise RefusedError("nothing can be deleted in its folder")
            return staged
        dress = dress_like(like) if original is None else dress_as(folder, name, original.stat)
        if keep_mtime and original is not None:
            dress.date = (original.stat.st_atime_ns, original.stat.st_mtime_ns)
        _fill(staged, data, dress)
    except BaseException as error:
        if staged is not None:
            staged.discard()
        if isinstance(error, OSError):
            raise failed("write", path, error) from error
        raise
    return staged


def _fill(staged: Staged, data: Content, dress: FileAttributes) -> None:
    """Put the content into a new file beside the old one."""
    # Where chmod is refused, a file may still be made with the mode that it shall have.
    for mode, last in ((0o600, False), (dress.mode, True)):
        fd, fits = _new_file(staged, mode), False
        try:
            write_content(fd, data)
            start_writeback(fd)
            if isinstance(data, Spliced):
                data.prove()
            check_written(fd, data, staged.path)
            fits = dress.put_on(fd, last=last)
        finally:
            if fits:
                staged.written = fd
            elif fd != staged.nameless:
                os.close(fd)
        if fits:
            break
        staged.discard()


def _new_file(staged: Staged, mode: int) -> int:
    """Make the file that is to be filled. Raise OSError."""
    folder, powers = staged.folder, staged.powers
    if staged.original is None and not powers.deletes:
        try:
            staged.nameless = folder.open(".", os.O_RDWR | os.O_TMPFILE, mode)
            return staged.nameless
        except OSError as error:
            if error.errno not in REFUSED | {errno.EISDIR}:
                raise
    if not powers.deletes and not powers.renames:
        said = "files in its folder can be neither renamed nor deleted"
        raise OSError(errno.EPERM, said, staged.path)
    fd, staged.temporary = make_temporary(folder, mode)
    return fd


def _rename(folder: Folder, source: str, target: str, flag: int) -> bool:
    """Rename by renameat2(2); return False where that is refused, or there is no such thing."""
    try:
        folder.rename2(source, target, flag)
    except OSError as error:
        if error.errno in REFUSED:
            return False
        raise
    return True
