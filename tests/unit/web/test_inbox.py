"""Keeping an upload: whole, under a safe name, in a watched folder and in nobody's place."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from tagger.config.schema import WatchRoot
from tagger.system.paths import is_photo_name
from tagger.web import inbox as keeping
from tagger.web.inbox import MAX_NAME, SUFFIXES, safe_name
from tests.unit.web.conftest import Site, jpeg, multipart

OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def client(open_site, manager):
    return open_site(manager=manager)


@pytest.fixture
def folder(client) -> str:
    [one] = client.get("/api/v1/folders").json
    return one["id"]


@pytest.fixture
def send(client, folder):
    """Return a function that keeps a picture."""

    def sent(name: str = "holiday.jpg", data: bytes = b"", into: str = folder):
        upload = multipart(data or jpeg(), filename=name, folder=into)
        return client.post("/api/v1/inbox", **upload, headers=OURS)

    return sent


def test_it_is_stored_and_the_daemon_told(send, site, manager, folder):
    answer = send()
    assert answer.status_code == 200, answer.text
    assert answer.json == {"folder": folder, "path": "holiday.jpg"}
    assert (site.inbox / "holiday.jpg").read_bytes() == jpeg()
    assert os.listdir(site.inbox) == ["holiday.jpg"]
    assert manager.hints.paths == [str(site.inbox / "holiday.jpg")]


def test_no_file_is_ever_replaced(send, site):
    (site.inbox / "a.jpg").write_bytes(b"mine")
    (site.inbox / "a (2).jpg").mkdir()
    os.symlink(site.outside / "target.jpg", site.inbox / "a (3).jpg")
    (site.inbox / "a (4).jpg.xmp").write_text("the sidecar of one that is gone")
    (site.inbox / "a (5).xmp").write_text("Lightroom's")
    assert send("a.jpg").json["path"] == "a (6).jpg"
    assert send("a.jpg").json["path"] == "a (7).jpg"
    assert (site.inbox / "a.jpg").read_bytes() == b"mine"
    assert not (site.outside / "target.jpg").exists()


def test_of_many_at_once_each_is_kept(client, folder, site):
    from concurrent.futures import ThreadPoolExecutor

    pictures = [jpeg((8, 8 + number)) for number in range(24)]

    def one(data: bytes) -> str:
        upload = multipart(data, filename="x.jpg", folder=folder)
        answer = client.application.test_client().post("/api/v1/inbox", **upload, headers=OURS)
        return answer.json["path"]

    with ThreadPoolExecutor(8) as clients:
        paths = list(clients.map(one, pictures))
    assert len(set(paths)) == 24
    assert [(site.inbox / path).read_bytes() for path in paths] == pictures


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.EISDIR])
@pytest.mark.parametrize("links", [True, False])
def test_where_there_are_no_unnamed_files_or_links_it_works_too(
    send, site, monkeypatch, refusal, links
):
    """As on exFAT, which cannot be mounted here: the system calls fail as they do there."""
    really = os.open

    def without(path, flags, *arguments, **options):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(refusal, "no")
        return really(path, flags, *arguments, **options)

    def no_links(*arguments, **options):
        raise PermissionError(errno.EPERM, "no links")

    monkeypatch.setattr(keeping.os, "open", without)
    if not links:
        monkeypatch.setattr(keeping.os, "link", no_links)
    (site.inbox / "a.jpg").write_bytes(b"mine")
    assert send("a.jpg").json["path"] == "a (2).jpg"
    assert (site.inbox / "a (2).jpg").read_bytes() == jpeg()
    assert (site.inbox / "a.jpg").read_bytes() == b"mine"
    assert sorted(os.listdir(site.inbox)) == ["a (2).jpg", "a.jpg"]


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o700])
def test_the_rights_follow_the_folder(send, site, mode):
    site.inbox.chmod(mode)
    send()
    assert stat.S_IMODE((site.inbox / "holiday.jpg").stat().st_mode) == mode & 0o666


def test_nothing_is_left_of_what_is_refused(send, site):
    assert send("x.jpg", b"no picture").status_code == 415
    assert send("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>").status_code == 415
    assert send("x.jpg", jpeg() + bytes(1_000_001)).status_code == 413
    assert send(into="nowhere").status_code == 404
    assert send(into=str(site.inbox)).status_code == 404
    assert send(into="").status_code == 404
    assert os.listdir(site.inbox) == []


def test_a_folder_that_is_away_or_refuses_is_not_written_to(send, site, manager, client):
    manager.away.add(str(site.inbox))
    answer = send()
    assert answer.status_code == 409
    assert "disk" in answer.json["error"]
    [one] = client.get("/api/v1/folders").json
    assert one["reason"] == answer.json["error"]
    assert "holiday.jpg" not in os.listdir(site.inbox)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_told(send, site):
    site.inbox.chmod(0o555)
    assert send().status_code == 409
    site.inbox.chmod(0o755)


def test_nothing_is_stored_in_a_folder_that_cannot_be_read(send, site, monkeypatch):
    real = keeping.open_beneath.Folder.open

    def unreadable(folder, name, flags=os.O_RDONLY, mode=0):
        if name == "." and not flags & os.O_WRONLY:
            raise PermissionError(errno.EACCES, "Permission denied", folder.path)
        return real(folder, name, flags, mode)

    monkeypatch.setattr(keeping.open_beneath.Folder, "open", unreadable)
    answer = send()
    assert answer.status_code == 409
    assert "Permission denied" in answer.json["error"]
    assert os.listdir(site.inbox) == []


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 409), (errno.EIO, 503)]
)
def test_what_the_disk_says_is_told(send, site, monkeypatch, number, status):
    def fails(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(keeping.os, "fsync", fails)
    answer = send()
    assert answer.status_code == status
    assert answer.json["remedy"]
    assert os.listdir(site.inbox) == []


def test_read_only_folders_are_not_offered(site, open_site, manager, tmp_path):
    archive, other = tmp_path / "archive", tmp_path / "deep" / "inbox"
    archive.mkdir()
    other.mkdir(parents=True)
    watch = (*site.config.watch, WatchRoot(str(archive), read_only=True), WatchRoot(str(other)))
    site.config = dataclasses.replace(site.config, watch=watch)
    offered = open_site(manager=manager).get("/api/v1/folders").json
    assert [one["path"] for one in offered] == [str(site.inbox), str(other)]
    assert [one["name"] for one in offered] == [str(site.inbox), str(other)], "which is which"
    assert len({one["id"] for one in offered}) == 2


@pytest.fixture
def into(site: Site, open_site, manager):
    """Return a function that keeps a picture in a sub-folder."""

    def sent(inbox: str, **root: object):
        watch = (dataclasses.replace(site.config.watch[0], **root), *site.config.watch[1:])
        web = dataclasses.replace(site.config.web, inbox=inbox)
        site.config = dataclasses.replace(site.config, watch=watch, web=web)
        client = open_site(manager=manager)
        upload = multipart(jpeg(), folder=client.get("/api/v1/folders").json[0]["id"])
        return client.post("/api/v1/inbox", **upload, headers=OURS)

    return sent


def test_a_sub_folder_is_made_when_needed(into, site):
    assert into("new/Web").json["path"] == "new/Web/a.jpg"
    assert into("new/Web").json["path"] == "new/Web/a (2).jpg"
    assert (site.inbox / "new" / "Web" / "a.jpg").read_bytes() == jpeg()
    assert into("new", recursive=False).json["path"] == "a.jpg", "what is below is not watched"


def test_a_link_does_not_lead_out_of_the_folder(into, site):
    os.symlink(site.outside, site.inbox / "new")
    answer = into("new")
    assert answer.status_code == 409
    (site.inbox / "file").write_text("")
    assert into("file").status_code == 409
    assert os.listdir(site.outside) == []


def test_a_read_only_folder_inside_another_is_left_alone(into, site):
    archive = site.inbox / "archive"
    archive.mkdir()
    watch = (*site.config.watch, WatchRoot(str(archive), read_only=True))
    site.config = dataclasses.replace(site.config, watch=watch)
    assert into("archive").status_code == 409
    assert os.listdir(archive) == []


def test_without_the_daemon_nothing_is_kept(open_site, site):
    alone = open_site()
    assert alone.get("/api/v1/folders").json == []
    answer = alone.post("/api/v1/inbox", **multipart(jpeg(), folder="x"), headers=OURS)
    assert answer.status_code == 409
    assert "web.enabled" in answer.json["remedy"]


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
def test_no_other_site_may_keep_anything(client, folder, site, headers):
    answer = client.post("/api/v1/inbox", **multipart(jpeg(), folder=folder), headers=headers)
    assert answer.status_code == 403
    assert os.listdir(site.inbox) == []


def test_a_program_may_with_a_bearer(client, folder):
    upload = multipart(jpeg(), folder=folder)
    answer = client.post("/api/v1/inbox", **upload, headers={"Authorization": "Bearer x"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("A.JPG", "A.JPG"),
        ("a.jpeg", "a.jpeg"),
        ("Tag am Meer – 狗.jpg", "Tag am Meer – 狗.jpg"),
        ("../../etc/passwd", "passwd.jpg"),
        ("..\\..\\boot.ini", "boot.ini.jpg"),
        ("/etc/x.jpg", "x.jpg"),
        ("C:\\photos\\x.jpg", "x.jpg"),
        ("C:x.jpg", "C_x.jpg"),
        ("..", "photo.jpg"),
        (".", "photo.jpg"),
        ("", "photo.jpg"),
        ("   ", "photo.jpg"),
        (".jpg", "jpg.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("...a.jpg", "a.jpg"),
        ("-rf.jpg", "rf.jpg"),
        (".tagger-1-x.tmp", "tagger-1-x.tmp.jpg"),
        ("a.jpg.", "a.jpg.jpg"),
        ("a .jpg", "a.jpg"),
        ("a\x00b\r\n\tc.jpg", "a b c.jpg"),
        ("a\u202egpj.exe", "a gpj.exe.jpg"),
        ("a\udcffb.jpg", "a b.jpg"),
        ('<a>:"b|c?*.jpg', "_a___b_c__.jpg"),
        ("con.jpg", "_con.jpg"),
        ("Lpt1.tar.jpg", "_Lpt1.tar.jpg"),
        ("console.jpg", "console.jpg"),
        ("a.png", "a.jpg"),
        ("a.heic", "a.jpg"),
        ("a.php", "a.php.jpg"),
        ("a.jpg.exe", "a.jpg.exe.jpg"),
        ("a.xmp", "a.xmp.jpg"),
        ("e\u0301.jpg", "é.jpg"),
    ],
)
def test_a_name_is_made_safe(given, name):
    assert safe_name(given, "JPEG") == name


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_ending_is_one_of_the_kind(kind):
    assert safe_name("a", kind) == f"a{SUFFIXES[kind][0]}"
    for suffix in SUFFIXES[kind]:
        assert safe_name(f"a{suffix.upper()}", kind) == f"a{suffix.upper()}"
        assert is_photo_name(f"a{suffix}")


@pytest.mark.parametrize("letter", ["a", "狗", "😀", "e\u0301"])
def test_a_long_name_is_cut_between_letters(letter):
    name = safe_name(letter * 400 + ".jpeg", "JPEG")
    assert name.endswith(".jpeg")
    assert MAX_NAME - 4 <= len(name.encode()) <= MAX_NAME
    assert "\ufffd" not in name


def test_the_ending_follows_the_content(send, site):
    out = io.BytesIO()
    Image.new("RGB", (20, 20)).save(out, "PNG")
    assert send("snow.jpg", out.getvalue()).json["path"] == "snow.png"


def test_a_hostile_name_in_the_form_stays_in_the_folder(send, site: Site, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    for name in ("../../x.jpg", "..\\x.jpg", "/tmp/x.jpg", "%2e%2e%2fx.jpg", "a\r\nb.jpg", "\x00"):
        answer = send(name)
        assert answer.status_code in (200, 400), name
    new = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert new and all(path.parent == site.inbox for path in new)
