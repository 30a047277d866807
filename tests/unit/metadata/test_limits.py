"""Metadata from strangers costs little, whatever it is made of, and what is refused stays."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
import unicodedata
import weakref
from pathlib import Path

import pytest

from tagger.errors import RefusedError
from tagger.index.folding import fold
from tagger.labels.vocabulary import load_vocabulary
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.xmp import edit, packet, properties
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.keywords import MAX_TEXT, user_paths, user_words, with_parents
from tagger.records import Candidate, FileStat
from tagger.text.unicode import normalized
from tagger.web.inbox import safe_name
from tests.conftest import PROJECT
from tests.support import jpegs
from tests.support.hostile_metadata import JSON, MARKS, OURS, PHOTOS, SIDECARS, array
from tests.support.hostile_metadata import packet as made
from tests.support.measured_write import KEYWORDS

SECONDS, MEGABYTES = 5.0, 120
"""Of processor time, and of memory above what the process has anyway."""


def measured(target: str, photos: list[Path]) -> dict[str, str]:
    """Tag the photos in a process of their own; return what became of each by its name."""
    command = [sys.executable, "-m", "tests.support.measured_write", target, *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for photo, line in zip(photos, done.stdout.splitlines(), strict=True):
        seconds, megabytes, said = line.split("\t")
        assert float(seconds) < SECONDS, (photo.name, line)
        assert int(megabytes) < MEGABYTES, (photo.name, line)
        found[photo.name] = said
    return found


@pytest.mark.parametrize("part", range(4))
def test_sidecars(part: int, tmp_path: Path) -> None:
    given: dict[Path, bytes] = {}
    for name in list(SIDECARS)[part::4]:
        photo = tmp_path / f"{name}.jpg"
        photo.write_bytes(jpegs.plain())
        given[photo] = SIDECARS[name]()
        Path(f"{photo}.xmp").write_bytes(given[photo])
    said = measured("sidecar-xmp", list(given))
    for photo, data in given.items():
        now = Path(f"{photo}.xmp").read_bytes()
        if said[photo.name].startswith("refused"):
            assert f"{photo}.xmp is not written to: it" in said[photo.name]
            assert now == data
        else:
            assert b"dog" in now


def test_json_sidecars(tmp_path: Path) -> None:
    given: dict[Path, bytes] = {}
    for name, make in JSON.items():
        photo = tmp_path / f"{name}.jpg"
        photo.write_bytes(jpegs.plain())
        given[photo] = make()
        Path(f"{photo}.tags.json").write_bytes(given[photo])
    said = measured("sidecar-json", list(given))
    for photo, data in given.items():
        now = Path(f"{photo}.tags.json").read_bytes()
        if said[photo.name].startswith("refused"):
            assert f"{photo}.tags.json is not written to: it" in said[photo.name]
            assert now == data
        else:
            assert b"dog" in now


@pytest.mark.parametrize("part", range(4))
def test_photos(part: int, tmp_path: Path) -> None:
    photos = []
    for name in list(PHOTOS)[part::4]:
        photos.append(tmp_path / name)
        photos[-1].write_bytes(PHOTOS[name]())
    for photo in photos:
        assert len(photo.read_bytes()) < 32 << 20
    said = measured("embed", photos)
    for photo in photos:
        reason = said[photo.name].removeprefix("written ")
        assert reason or b"dog" in photo.read_bytes()
        assert not reason or photo.read_bytes() == PHOTOS[photo.name]()


def test_what_programs_write_is_within_the_limits() -> None:
    strokes = "<rdf:li>d 0.123456 0.654321</rdf:li>" * 90_000
    inner = f"<rdf:li><rdf:Description><dc:y><rdf:Seq>{strokes}</rdf:Seq></dc:y></rdf:Description>"
    data = made(f"<dc:x><rdf:Seq>{inner}</rdf:li></rdf:Seq></dc:x>" + array("dc:subject", ["mine"]))
    result, added = edit.add(data, {properties.SUBJECT: ("dog",)}, "t")
    assert xmp_packet.parse(result).values(properties.SUBJECT) == ("mine", "dog")
    assert edit.remove(result, added) == data


@pytest.mark.parametrize("blanks", ["\n" + " " * 10, "\r\n\t\t", "\n" + " " * 5000, " " * 5000])
def test_what_was_put_in_behind_an_indentation_is_taken_out_again(blanks: str) -> None:
    data = made(f"<dc:subject><rdf:Bag>{blanks}<rdf:li>z</rdf:li>{blanks}</rdf:Bag></dc:subject>")
    result, added = edit.add(data, {properties.SUBJECT: ("dog", "cat")}, "t")
    assert len(result) < len(data) + 2 * 250
    assert edit.remove(result, added) == data


def test_the_attributes_of_a_tag_are_found_whatever_stands_between_them() -> None:
    tag = "\n\t tagger:model = 'a  b=\"c\"'\n\n  dc:x=\"tagger:y='1'\"   tagger:software='s'   "
    data = made("", tag)
    result = edit.remove(data, {})
    assert b"tagger:model" not in result
    assert b"tagger:software" not in result
    assert b"dc:x=\"tagger:y='1'\"" in result


@pytest.mark.parametrize(
    ("inside", "attributes", "reason"),
    [
        (OURS, " xmlns:q='" + "u" * 257 + "' ", "namespace of more than 256 bytes"),
        ("xmlns='", " xmlns:q=\"'" + "u" * 257 + '" ', "namespace of more than 256 bytes"),
        ("xmlns", "\nxmlns:q\n=\n'" + "u" * 300 + "'", "namespace of more than 256 bytes"),
        (f"<dc:x y='{'a' * (1 << 20)}z'/>", "", "attribute of more than 1 MB"),
        ("<a>" * 199 + "</a>" * 199, "", "more than 200 deep"),
    ],
)
def test_beyond_a_limit(inside: str, attributes: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        xmp_packet.parse(made(inside, attributes))


def test_within_the_limits() -> None:
    for inside in ("<a>" * 190 + "</a>" * 190, f"<dc:x y='{'a' * 1_000_000}'/>", "a = 'b"):
        assert xmp_packet.parse(made(inside, " xmlns:q='" + "u" * 255 + "'")).nodes


def test_a_text_that_is_cut_off_is_no_keyword() -> None:
    long = "|".join(["x" * 400] * 12)
    assert len(long) > packet.MAX_VALUE
    data = made(array("lr:hierarchicalSubject", [long, "a|b"]))
    assert user_paths(data) == (("a", "b"),)
    result, _ = edit.add(data, {properties.HIERARCHICAL: ("c|d",)}, "t")
    assert long.encode() in result


@pytest.mark.parametrize("length", [64, 65, 200, 500])
def test_a_long_keyword_is_the_users_like_any_other(length: int) -> None:
    """Only what is typed here is held to 64 characters, as IPTC holds it."""
    words = ["k" * length, "short"]
    hierarchical = array("lr:hierarchicalSubject", [f"a|{words[0]}"])
    assert user_paths(made(array("dc:subject", words))) == tuple((one,) for one in words)
    assert user_paths(made(hierarchical)) == (("a", words[0]),)
    assert user_words(made(array("dc:subject", words))) == tuple(words)


def test_as_much_is_read_of_keywords_as_can_be_kept() -> None:
    levels = ["|".join([str(number), *["y" * 60] * 40]) for number in range(800)]
    found = with_parents(user_paths(made(array("lr:hierarchicalSubject", levels))))
    assert 0 < sum(len(word) for path in found for word in path) <= MAX_TEXT


def test_a_parsed_packet_is_let_go_with_its_last_use() -> None:
    class Read(packet._Reader):
        pass

    gc.collect()
    gc.disable()
    try:
        sound, broken = Read(made(OURS)), Read(b"<a>")
        read = [weakref.ref(sound), weakref.ref(broken)]
        sound.rdf()
        with pytest.raises(RefusedError):
            broken.rdf()
        del sound, broken
        assert [one() for one in read] == [None, None]
    finally:
        gc.enable()


def prepared(photo: Path, target: str) -> tuple[PreparedWrite, int]:
    """Prepare a write; return it, and the most bytes that Python had at a time for it."""
    candidate = Candidate(str(photo), str(photo.parent), FileStat.of(photo.lstat()))
    tracemalloc.start()
    try:
        write = prepare(
            candidate, KEYWORDS, WriteOptions(target=target), Provenance("m", "tagger 1")
        )
        return write, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json"])
@pytest.mark.parametrize("name", ["iptc.jpg", "packet.png", "packet.webp", "scans.jpg", "xmp.gif"])
def test_of_a_photo_beside_which_tags_go_only_the_metadata_is_read(
    name: str, target: str, tmp_path: Path
) -> None:
    photo = tmp_path / name
    photo.write_bytes(PHOTOS[name]() + bytes(20_000_000))
    write, most = prepared(photo, target)
    write.discard()
    assert most < 20_000_000


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_prepared_write_holds_no_file(target: str, tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(jpegs.plain() + bytes(10_000_000))
    if target == "sidecar-xmp":
        Path(f"{photo}.xmp").write_bytes(made(f"<dc:x>{'y' * 7_000_000}</dc:x>"))
    tracemalloc.start()
    try:
        write = prepare(
            Candidate(str(photo), str(tmp_path), FileStat.of(photo.lstat())),
            KEYWORDS,
            WriteOptions(target=target),
            Provenance("m", "tagger 1"),
        )
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
    write.commit()
    written = photo if target == "embed" else Path(f"{photo}.xmp")
    assert b"dog" in written.read_bytes()


def test_ours_in_a_photo_are_known_without_the_journal(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(jpegs.plain())
    prepared(photo, "embed")[0].commit()
    write = prepared(photo, "sidecar-xmp")[0]
    write.discard()
    assert write.user_keywords == ()


def test_a_packet_is_parsed_once_while_it_is_remembered() -> None:
    data = made(array("dc:subject", ["a"]))
    with packet.remembering():
        with packet.remembering():
            first = packet.parse(data)
        assert packet.parse(bytes(bytearray(data))) is first
        with pytest.raises(RefusedError) as refused:
            packet.parse(b"<a")
        with pytest.raises(RefusedError) as again:
            packet.parse(b"<a")
        assert str(refused.value) == str(again.value)
    assert packet.parse(data) is not first


@pytest.mark.parametrize(
    "text", ["a" + MARKS * 190_000, MARKS * 500, "\uff9e\u0301" * 499, "é" * 999]
)
def test_normal_forms_take_no_longer_than_the_text(text: str) -> None:
    # Quadratic, the first alone takes a minute each.
    assert normalized("NFC", text)
    assert xmp_packet.key(text)
    assert fold(text)
    assert load_vocabulary().resolve(text) == ()
    assert safe_name(text, "JPEG").endswith(".jpg")


def test_normal_forms_of_what_people_write() -> None:
    for text in ("é", "e\u0301", "Việt Nam" * 90, unicodedata.normalize("NFD", "Việt ") * 99):
        assert normalized("NFC", text) == unicodedata.normalize("NFC", text)
        assert normalized("NFKC", text) == unicodedata.normalize("NFKC", text)
