"""Sidecars and packets from strangers: read in the daemon itself, in little memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import jpegs
from tests.support.pictures import encoded, quarters

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MEGABYTES, SECONDS = 900, 20
SCRIPT = """
import os, resource, sys
from tagger.errors import RefusedError
from tagger.metadata.read import read_tags
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.read import read_keywords
from tagger.records import Candidate, FileStat, Keyword

path, target = sys.argv[1:3]
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]) << 20,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]),) * 2)
keywords = (Keyword("animal", ("animal",), 0.9, False), Keyword("dog", ("animal", "dog"), 0.9))
photo = Candidate(path, os.path.dirname(path), FileStat.of(os.lstat(path)))
root = os.path.dirname(path)
read_tags(path, root), read_keywords(path, root)
try:
    write = prepare(photo, keywords, WriteOptions(target=target), Provenance("m", "tagger 1"))
    write.commit()
except RefusedError as error:
    print("refused:", error)
else:
    print("written", write.reason)
print(len(read_tags(path, root)))
"""


def packet(inside: str) -> bytes:
    spaces = {
        "tagger": "http://ns.tagger.invalid/1.0/",
        "digiKam": "http://www.digikam.org/ns/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "lr": "http://ns.adobe.com/lightroom/1.0/",
    }
    named = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" {named}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def array(name: str, values: list[str]) -> str:
    items = "".join(f"<rdf:li>{value}</rdf:li>" for value in values)
    return f"<{name}><rdf:Bag>{items}</rdf:Bag></{name}>"


def ours(count: int) -> bytes:
    """Return a packet that says of so many keywords that they are ours."""
    words = [f"w{number}" for number in range(count)]
    labels = array("tagger:labels", [f"0.5 {word}" for word in reversed(words)])
    return packet(array("dc:subject", words) + labels)


XMP: dict[str, Callable[[], bytes]] = {
    "deep": lambda: packet(array("lr:hierarchicalSubject", ["a|" * 100_000 + "b"])),
    "deep-tags": lambda: packet(array("digiKam:TagsList", ["a/" * 100_000 + "b"])),
    "many": lambda: packet(array("dc:subject", [f"w{n}" for n in range(30_000)])),
    "ours": lambda: ours(15_000),
    "attributes": lambda: packet("<dc:x " + " ".join(f"a{n}='1'" for n in range(200_000)) + "/>"),
    "long": lambda: packet(array("dc:subject", ["x" * 3_000_000])),
    "nested": lambda: packet("<dc:a>" * 100_000 + "</dc:a>" * 100_000),
    "spaces": lambda: b" " * 4_000_000,
    "endless": lambda: b"",  # made larger below
}
JSON: dict[str, Callable[[], bytes]] = {
    "deep": lambda: (
        b'{"version": 1, "labels": [{"label": "a", "confidence": 1, "path": ['
        + b'"x",' * 200_000
        + b'"a"]}]}'
    ),
    "nested": lambda: b"[" * 200_000,
    "endless": lambda: b"",
}


def survived(photo: Path, target: str) -> str:
    command = [sys.executable, "-c", SCRIPT, photo, target, MEGABYTES, SECONDS]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(quarters(64, 48), "JPEG"))
    return path


@pytest.mark.parametrize("name", XMP)
def test_sidecars(name: str, photo: Path) -> None:
    sidecar = Path(f"{photo}.xmp")
    sidecar.write_bytes(XMP[name]())
    if name == "endless":
        os.truncate(sidecar, 8 << 40)
    said = survived(photo, "sidecar-xmp")
    if name in ("attributes", "nested", "endless"):
        assert said.startswith("refused")
    else:
        assert b"dog" in sidecar.read_bytes()


@pytest.mark.parametrize("name", JSON)
def test_json_sidecars(name: str, photo: Path) -> None:
    sidecar = Path(f"{photo}.tags.json")
    sidecar.write_bytes(JSON[name]())
    if name == "endless":
        os.truncate(sidecar, 8 << 40)
    said = survived(photo, "sidecar-json")
    assert said.startswith("written" if name == "deep" else "refused")


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_hierarchy_that_fits_into_a_photo_fits_into_memory(photo: Path, target: str) -> None:
    deep = packet(array("lr:hierarchicalSubject", ["a|" * 30_000 + "b"]))
    assert len(deep) < 65_000
    photo.write_bytes(jpegs.put(photo.read_bytes(), jpegs.xmp(deep)))
    survived(photo, target)
    assert b"a|" * 30_000 in photo.read_bytes()
