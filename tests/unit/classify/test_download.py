"""Fetching weights from a server, and all that can go wrong with it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tagger.classify.catalog import ModelInfo
from tagger.classify.download import CHUNK, download, fetch_weights
from tagger.classify.weights import first_digest
from tagger.errors import DownloadError
from tagger.records import CropSpec
from tests.support.weights_server import HASHED_AS_RESNET18, RESNET18, serving

BODY = random.Random(0).randbytes(3 * CHUNK + 17)
FILE = f"net-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"
INFO = ModelInfo("net", "V1", True, FILE, CropSpec(), len(BODY) / 1e6, 0.0)


@pytest.fixture
def server():
    with serving() as server:
        server.files = {f"/{FILE}": BODY}
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Return a function that fetches FILE into the folder "models"."""

    def go(path=f"/{FILE}", **options):
        return fetch_weights(INFO, server.url + path, str(tmp_path / "models"), **options)

    return go


@pytest.fixture
def part(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / f"{FILE}.part"


def test_a_file_comes_whole_and_is_reported_on_the_way(fetch, server, tmp_path):
    steps = []
    path = fetch(progress=lambda done, total: steps.append((done, total)))
    assert path == str(tmp_path / "models" / FILE)
    assert (tmp_path / "models" / FILE).read_bytes() == BODY
    assert os.listdir(tmp_path / "models") == [FILE]
    assert steps[0] == (0, len(BODY)) and steps[-1] == (len(BODY), len(BODY))
    assert steps == sorted(set(steps)) and len(steps) > 3
    assert fetch() == path
    assert server.asked == [(f"/{FILE}", None)], "a file that is there is not fetched again"


def test_a_damaged_file_in_place_is_fetched_again(fetch, part):
    part.with_name(FILE).write_bytes(b"damaged")
    fetch()
    assert part.with_name(FILE).read_bytes() == BODY


def test_a_server_that_does_not_tell_the_length(fetch, server):
    server.tell_length = False
    steps = []
    with open(fetch(progress=lambda done, total: steps.append((done, total))), "rb") as file:
        assert file.read() == BODY
    assert steps[-1] == (len(BODY), None)


def test_an_earlier_try_is_resumed(fetch, server, part):
    part.write_bytes(BODY[:1000])
    steps = []
    with open(fetch(progress=lambda done, total: steps.append((done, total))), "rb") as file:
        assert file.read() == BODY
    assert server.asked == [(f"/{FILE}", "bytes=1000-")]
    assert steps[0] == (1000, len(BODY))
    assert not part.exists()


def test_a_whole_part_is_only_verified(fetch, server, part):
    part.write_bytes(BODY)
    assert fetch() == str(part.with_suffix(""))
    assert part.with_suffix("").read_bytes() == BODY


def test_a_server_that_ignores_ranges(fetch, server, part):
    server.ranges = False
    part.write_bytes(b"something else, that must not stay" * 1000)
    with open(fetch(), "rb") as file:
        assert file.read() == BODY


@pytest.fixture
def fetch_unknown(server, tmp_path):
    """Return a function that fetches a file whose hash nobody has published."""
    info = replace(INFO, file="scenes.pth.tar")

    def go():
        return fetch_weights(info, f"{server.url}/scenes.pth.tar", str(tmp_path / "models"))

    server.files = {"/scenes.pth.tar": BODY}
    return go


def test_the_hash_of_a_first_download_is_kept(fetch_unknown, server, tmp_path):
    path = fetch_unknown()
    said = (tmp_path / "models" / "scenes.pth.tar.sha256").read_text()
    assert said == f"{hashlib.sha256(BODY).hexdigest()}  scenes.pth.tar\n"
    assert first_digest(path) == hashlib.sha256(BODY).hexdigest()
    assert fetch_unknown() == path and len(server.asked) == 1


def test_what_comes_later_has_to_have_the_hash_of_the_first(fetch_unknown, server, tmp_path):
    path = fetch_unknown()
    os.unlink(path)
    server.files = {"/scenes.pth.tar": BODY[::-1]}
    with pytest.raises(DownloadError, match=r"is not scenes.pth.tar: its SHA-256 does not begin"):
        fetch_unknown()
    assert not os.path.exists(path) and not os.path.exists(f"{path}.part")
    server.files = {"/scenes.pth.tar": BODY}
    assert fetch_unknown() == path


def test_a_page_in_place_of_a_file_without_hash_is_refused(fetch_unknown, server, tmp_path):
    server.files = {"/scenes.pth.tar": b"<html>moved</html>"}
    with pytest.raises(DownloadError, match=r"it has 0\.0 MB, not 0\.8"):
        fetch_unknown()
    assert os.listdir(tmp_path / "models") == []


def test_not_found_on_the_server(fetch, server):
    with pytest.raises(DownloadError, match="404") as raised:
        fetch("/other.pth")
    assert f"{server.url}/other.pth" in raised.value.message
    assert raised.value.remedy


@pytest.mark.parametrize("start", [0, 100])
def test_other_content_is_refused_and_removed(fetch, server, part, start):
    server.files[f"/{FILE}"] = BODY[:-1] + bytes([BODY[-1] ^ 1])
    part.write_bytes(BODY[:start])
    with pytest.raises(DownloadError, match="SHA-256") as raised:
        fetch()
    assert server.url in raised.value.message and INFO.hash_prefix in raised.value.message
    assert os.listdir(part.parent) == []
    server.files[f"/{FILE}"] = BODY
    fetch()


def test_a_broken_connection_is_resumed(fetch, server, part):
    server.cut = CHUNK + 5
    for have in (server.cut, 2 * server.cut):
        with pytest.raises(DownloadError, match=f"broke off after {have} of {len(BODY)}") as raised:
            fetch()
        assert "resumes" in raised.value.remedy
        assert part.read_bytes() == BODY[:have]
    server.cut = None
    with open(fetch(), "rb") as file:
        assert file.read() == BODY
    asked = [wanted for _, wanted in server.asked]
    assert asked == [None, f"bytes={CHUNK + 5}-", f"bytes={2 * (CHUNK + 5)}-"]


def test_a_server_that_falls_silent(fetch, server, part):
    """What has come is kept."""
    server.hold = 5000
    with pytest.raises(DownloadError, match="timed out"):
        fetch(timeout=0.3)
    assert part.read_bytes() == BODY[:5000]


def test_progress_may_end_it(fetch, part):
    class Enough(Exception):
        pass

    def stop(done, total):
        if done:
            raise Enough

    with pytest.raises(Enough):
        fetch(progress=stop)
    have = part.read_bytes()
    assert have and BODY.startswith(have)
    fetch()


def test_nobody_listens(tmp_path):
    with serving() as server:
        url = f"{server.url}/{FILE}"
    with pytest.raises(DownloadError, match="refused") as raised:
        fetch_weights(INFO, url, str(tmp_path))
    assert "check the network" in raised.value.remedy
    assert os.listdir(tmp_path) == [], "no empty file that a next call would go on from"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.invalid/net.pth",
        "http://127.0.0.1.example.invalid/net.pth",
        "http://localhost@example.invalid/net.pth",
        "ftp://127.0.0.1/net.pth",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://[::1",
        "",
    ],
)
def test_only_encrypted_or_local_addresses(tmp_path, address):
    with pytest.raises(DownloadError, match="https://"):
        fetch_weights(INFO, address, str(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("address", ["http://localhost:port/x", "http://localhost:1/ä b"])
def test_addresses_that_cannot_be_asked(tmp_path, address):
    with pytest.raises(DownloadError):
        fetch_weights(INFO, address, str(tmp_path))


def test_redirects_are_followed_to_allowed_addresses_only(fetch, server, tmp_path):
    server.redirects = {"/good": f"/{FILE}", "/bad": "http://example.invalid/net.pth"}
    with pytest.raises(DownloadError, match=r"not fetched from http://example\.invalid/net\.pth"):
        fetch("/bad")
    assert fetch("/good") == str(tmp_path / "models" / FILE)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk(fetch, part):
    part.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="No space left") as raised:
        fetch()
    assert str(part) in raised.value.message
    assert raised.value.remedy == "free some space"


@contextmanager
def without_root():
    """Be a user who has no special rights, even when the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_rights(fetch, part):
    part.parent.chmod(0o555)
    try:
        with without_root(), pytest.raises(DownloadError, match="Permission denied") as raised:
            fetch()
    finally:
        part.parent.chmod(0o755)
    assert str(part.parent) in raised.value.message
    assert "rights" in raised.value.remedy


def test_two_downloads_do_not_spoil_each_other(fetch, server, part):
    with open(part, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="already"):
            fetch()
        assert part.read_bytes() == b"" and server.asked == []
    fetch()


def test_the_configured_models_address(server, tmp_path):
    """A mirror of all files, or the address of one; the default is never asked here."""
    server.files = {f"/m/{RESNET18}": HASHED_AS_RESNET18, "/r.pth": HASHED_AS_RESNET18}
    for slash in ("", "/"):
        path = download(
            "resnet18",
            state_dir=str(tmp_path / f"state{slash}a"),
            environ={"TAGGER_MODEL_URL": f"{server.url}/m{slash}"},
        )
        assert path == str(tmp_path / f"state{slash}a" / "models" / RESNET18)
    download("resnet18", state_dir=str(tmp_path / "b"), url=f"{server.url}/r.pth", environ={})
    assert [path for path, _ in server.asked] == [f"/m/{RESNET18}", f"/m/{RESNET18}", "/r.pth"]
