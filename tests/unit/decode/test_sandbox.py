"""What code may do that has taken a decoding process over: nothing but answer."""

from __future__ import annotations

import ctypes
import errno
import io
import json
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from tagger.decode import landlock, seccomp
from tagger.decode.opening import decode
from tagger.decode.pool import DecodePool
from tagger.decode.preview import view
from tagger.decode.sandbox import confine, preload
from tagger.errors import PhotoVanishedError
from tagger.records import CropSpec
from tagger.system.process import keep_private
from tests.support.pictures import deep_png, dng, encoded, exif, grid_heic, quarters

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(
    not X86 and platform.machine() != "aarch64", reason="no filter for this machine"
)


def raw(number: int, *arguments: object) -> None:
    """Make a system call by its number. Raise OSError."""
    if LIBC.syscall(ctypes.c_long(number), *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def by_mmap(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 0) as memory:
        memory[:2] = b"XX"


def connected(kind: int, address: Any) -> None:
    with socket.socket(kind) as made:
        made.connect(address)


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def tricks(folder: str, parent: int, port: int) -> dict[str, Callable[[], object]]:
    """Return what is tried: each raises OSError unless it is possible."""
    photo = f"{folder}/photo.jpg"
    own = os.open(photo, os.O_RDONLY)  # as it was given to the process
    found: dict[str, Callable[[], object]] = {
        "read another file": lambda: os.open(photo, os.O_RDONLY),
        "read the system's": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "read a folder": lambda: os.listdir(folder),
        "open its own photo again to write": lambda: os.open(f"/proc/self/fd/{own}", os.O_RDWR),
        "write to its own photo": lambda: os.write(own, b"XX"),
        "cut its own photo": lambda: os.ftruncate(own, 0),
        "change its own photo's mode": lambda: os.fchmod(own, 0o777),
        "change its own photo's dates": lambda: os.utime(own, (1, 1)),
        "cut a photo": lambda: os.truncate(f"{folder}/cut.jpg", 0),
        "write by mmap": lambda: by_mmap(photo),
        "delete a photo": lambda: os.unlink(f"{folder}/gone.jpg"),
        "rename a photo": lambda: os.rename(f"{folder}/old.jpg", f"{folder}/new.jpg"),
        "make a file": lambda: os.open(f"{folder}/new", os.O_CREAT | os.O_WRONLY),
        "make a folder": lambda: os.mkdir(f"{folder}/folder"),
        "make a link": lambda: os.symlink("/etc", f"{folder}/link"),
        "make a hard link": lambda: os.link(photo, f"{folder}/hard"),
        "change a photo's mode": lambda: os.chmod(photo, 0o777),
        "change a photo's dates": lambda: os.utime(photo, (1, 1)),
        "set an attribute": lambda: os.setxattr(photo, "user.a", b"b"),
        "read the daemon's memory": lambda: os.open(f"/proc/{parent}/mem", os.O_RDONLY),
        "connect by TCP": lambda: connected(socket.AF_INET, ("127.0.0.1", port)),
        "connect to a socket": lambda: connected(socket.AF_UNIX, f"{folder}/control"),
        "connect to a socket without a file": lambda: connected(socket.AF_UNIX, f"\0{folder}"),
        "make a pair of sockets": socket.socketpair,
        "fork": fork,
        "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "signal the daemon": lambda: os.kill(parent, 0),
        "signal its group": lambda: os.killpg(os.getpgid(0), 0),
        "lift a limit": lambda: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1)),
        "get memory to execute": executable_memory,
        "change the folder": lambda: os.chdir("/"),
        "become root": lambda: os.setuid(0),
    }
    calls = (
        {
            "ptrace": (101, 0x4206, parent, 0, 0),
            "process_vm_readv": (310, parent, None, 0, None, 0, 0),
            "tgkill of another": (234, parent, parent, 0),
            "signals for another by fcntl": (72, own, 8, parent),
            "unshare": (272, 0),
            "memfd_create": (319, b"a", 0),
            "keyctl": (250, 0, -3, 1),
            "bpf": (321, 0, None, 0),
            "perf_event_open": (298, None, 0, -1, -1, 0),
            "userfaultfd": (323, 0),
            "io_uring_setup": (425, 1, ctypes.create_string_buffer(120)),
            "pidfd_open": (434, parent, 0),
            "prlimit64 of another": (302, parent, 4, (ctypes.c_uint64 * 2)(0, 0), None),
            "prctl": (157, 4, 1, 0, 0, 0),
            "x32": (0x40000000 | 39,),
            "add_key": (248, b"user", b"a", b"b", 1, -3),
            "epoll_create1": (291, 0),
            "pipe2": (293, (ctypes.c_int * 2)(), 0),
        }
        if X86
        else {"ptrace": (117, 0x4206, parent, 0, 0), "unshare": (97, 0), "bpf": (280, 0, None, 0)}
    )
    for name, call in calls.items():

        def by_number(call: tuple[object, ...] = call) -> None:
            raw(*call)  # type: ignore[arg-type]

        found[name] = by_number
    return found


def as_nobody() -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def told_by_a_child(act: Callable[[int], Any]) -> Any:
    """Return what ``act`` returns in a forked process; it gets the number of this one."""
    ours, theirs = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            said: Any = act(parent)
        except BaseException as error:  # noqa: BLE001 (told to the parent)
            said = repr(error)
        os.write(theirs, json.dumps(said).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as file:
        answer = json.loads(file.read() or b'"it died"')
    os.waitpid(child, 0)
    return answer


def possible(folder: str, parent: int, port: int, prepare: Callable[[], object]) -> list[str]:
    """Return which of the tricks work after ``prepare``."""
    all_tricks = tricks(folder, parent, port)
    prepare()
    names = []
    for name, trick in all_tricks.items():
        try:
            trick()
        except (OSError, ValueError) as error:
            beyond = isinstance(error, OSError) and error.errno in (errno.EFAULT, errno.EINVAL)
            if beyond and trick.__name__ == "by_number":
                names.append(name)  # the kernel looked at its arguments
            continue
        names.append(name)
    return names


def tried(prepare: Callable[[int], object]) -> list[str]:
    """Return the tricks that work in a forked process after ``prepare``."""
    preload()  # this installation may be closed to others
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        Path(folder).chmod(0o777)
        for name in ("photo", "cut", "gone", "old"):
            path = Path(folder, f"{name}.jpg")
            path.write_bytes(encoded(quarters(), "JPEG"))
            path.chmod(0o666)
        with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as nameless:
            named.bind(f"{folder}/control")
            nameless.bind(f"\0{folder}")
            for each in (named, nameless):
                each.listen()
            os.chmod(f"{folder}/control", 0o777)
            port = server.getsockname()[1]
            return told_by_a_child(
                lambda parent: possible(folder, parent, port, lambda: prepare(parent))
            )


@pytest.mark.parametrize("who", ["as we are", "nobody"])
@pytest.mark.parametrize("namespaces", [True, False])
def test_a_process_that_was_taken_over_can_do_nothing(
    who: str, namespaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With namespaces and without, as in a unit or a container that forbids them."""
    if who == "nobody" and os.geteuid():
        pytest.skip("not root")
    if not namespaces:
        monkeypatch.setattr("tagger.decode.sandbox._CLONE_NEWUSER", 0x80000000)  # fails
        monkeypatch.setattr("tagger.decode.sandbox._CLONE_NEWNET", 0x80000000)

    def prepare(parent: int) -> None:
        if who == "nobody":
            as_nobody()
        confine(4096, parent)

    assert tried(prepare) == []


def test_the_tricks_work_where_nothing_forbids_them() -> None:
    """Else the test above would show nothing."""
    if os.geteuid():
        pytest.skip("not root")
    works = tried(lambda _: os.setpgid(0, 0))
    assert len(works) > 25
    assert {"read another file", "fork", "signal the daemon", "write by mmap"} <= set(works)


def test_landlock_alone_bars_files_and_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system calls cannot be filtered, and no network be left."""
    if landlock.asked(LIBC)[0] < 6:
        pytest.skip("Landlock of this kernel is older, or off")
    monkeypatch.setattr(seccomp, "restrict", lambda _: False)
    monkeypatch.setattr("tagger.decode.sandbox._CLONE_NEWUSER", 0x80000000)
    monkeypatch.setattr("tagger.decode.sandbox._CLONE_NEWNET", 0x80000000)
    works = tried(lambda parent: confine(4096, parent))
    assert not {name for name in works if "file" in name or "photo" in name} - {
        "change its own photo's mode",  # which Landlock does not know
        "change its own photo's dates",
        "change a photo's mode",
        "change a photo's dates",
    }
    assert not {"connect by TCP", "connect to a socket without a file"} & set(works)
    assert not {"signal the daemon", "ptrace", "read the daemon's memory"} & set(works)


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "restrict", lambda _: False)
    monkeypatch.setattr(landlock, "restrict", lambda _: 0)
    missing = told_by_a_child(lambda parent: confine(4096, parent))
    assert missing[-2:] == ["use Landlock", "filter its system calls"]


def test_all_capabilities_are_gone() -> None:
    def sets(parent: int) -> list[str]:
        status = os.open("/proc/self/status", os.O_RDONLY)
        confine(4096, parent)
        lines = os.read(status, 1 << 16).decode().splitlines()
        return [line.split()[1] for line in lines if line.startswith("Cap")]

    inherited, permitted, effective, bounding, ambient = told_by_a_child(sets)
    assert {inherited, permitted, effective, ambient} == {"0" * 16}
    if os.geteuid() == 0:
        assert bounding == "0" * 16


def test_a_process_has_nothing_open_of_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(quarters(), "JPEG"))
    with open(path, "rb"), DecodePool(CropSpec(), workers=1) as pool:
        pool.submit(str(path)).result(60)
        worker = pool._workers[0]._process
        assert worker is not None
        folder = Path(f"/proc/{worker.pid}/fd")
        kinds = sorted(os.readlink(entry).split(":")[0] for entry in folder.iterdir())
    # The pipe to the daemon twice, and what tells either side that the other has ended.
    kinds = [kind for kind in kinds if kind != "/dev/null"]
    assert kinds == ["pipe"] * 2 + ["socket"] * 2


def heif(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, format="HEIF")
    return out.getvalue()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def samples() -> dict[str, bytes]:
    """Return a file of each kind that is read."""
    picture, other = quarters(), Image.new("RGB", (400, 300))
    tiff = {"tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group4"}
    grey = io.BytesIO()
    Image.fromarray(np.zeros((300, 400), np.uint16)).save(grey, "TIFF")
    return {
        "a.jpg": encoded(picture, "JPEG", exif=exif(6), icc_profile=profile()),
        "progressive.jpg": encoded(picture, "JPEG", progressive=True),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "two.jpg": encoded(picture, "MPO", save_all=True, append_images=[other]),
        "a.png": encoded(picture, "PNG", exif=exif(8)),
        "palette.png": encoded(picture.convert("P"), "PNG"),
        "alpha.png": encoded(picture.convert("RGBA"), "PNG", icc_profile=profile()),
        "deep.png": deep_png(picture),
        "a.webp": encoded(picture, "WEBP", exif=exif(3)),
        "moving.webp": encoded(picture, "WEBP", save_all=True, append_images=[other]),
        "a.gif": encoded(picture, "GIF", save_all=True, append_images=[other]),
        "a.bmp": encoded(picture, "BMP"),
        "a.heic": heif(picture),
        "grid.heic": grid_heic(10, 10),
        "thumbnail.heic": grid_heic(4, 3, thumbnail=True),
        "a.avif": encoded(picture, "AVIF"),
        "a.dng": dng(encoded(picture, "JPEG")),
        "deep.tif": grey.getvalue(),
        **{
            f"{name}.tif": encoded(
                picture.convert("1") if name == "group4" else picture, "TIFF", compression=name
            )
            for name in tiff
        },
    }


def test_every_format_is_read_behind_the_walls(tmp_path: Path) -> None:
    with DecodePool(CropSpec(), workers=2) as pool:
        found = {}
        for name, data in samples().items():
            (tmp_path / name).write_bytes(data)
            path = str(tmp_path / name)
            found[path] = pool.submit(path), pool.view(path, 300), pool.view(path, 90, square=True)
        for path, (crop, seen, square) in found.items():
            here = decode(path, CropSpec(), more=True)
            assert np.array_equal(crop.result(60).crop, here.crop), path
            assert crop.result().facts == here.facts
            assert np.array_equal(seen.result(60), view(path, 300)), path
            assert square.result(60).shape == (90, 90, 3)


def test_no_link_below_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.jpg").write_bytes(encoded(quarters(), "JPEG"))
    (tmp_path / "root" / "link").symlink_to("../other")
    path = str(tmp_path / "root" / "link" / "a.jpg")
    with DecodePool(CropSpec(), workers=1) as pool:
        assert pool.submit(path).result(60).facts.width == 400
        with pytest.raises(PhotoVanishedError):
            pool.submit(path, root=str(tmp_path / "root")).result(60)


def test_the_daemons_memory_is_closed_to_its_account() -> None:
    if os.geteuid():
        pytest.skip("not root")

    def holder(private: bool) -> subprocess.Popen[bytes]:
        def prepare() -> None:
            as_nobody()

        code = "import sys, ctypes; ctypes.CDLL(None).prctl(4, int(sys.argv[1]), 0, 0, 0)\n"
        code += "print(flush=True); sys.stdin.read()"
        python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
        return subprocess.Popen(
            [python, "-c", code, str(int(not private))],
            preexec_fn=prepare,  # noqa: PLW1509
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )

    def opened(pid: int) -> bool:
        as_nobody()
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        except PermissionError:
            return False
        return True

    def closes(_: int) -> int:
        LIBC.prctl(4, 1, 0, 0, 0)
        keep_private()
        return int(LIBC.prctl(3, 0, 0, 0, 0))

    assert told_by_a_child(closes) == 0
    for private in (False, True):
        with holder(private) as process:
            assert process.stdout is not None
            if process.stdout.readline() != b"\n":
                pytest.skip("there is no Python that others may run")
            assert told_by_a_child(lambda _, pid=process.pid: opened(pid)) is not private
            process.send_signal(signal.SIGKILL)
