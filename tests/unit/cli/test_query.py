"""``tagger query``: every option, and what it does with the photos."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys

import pytest

from tagger.index.store import Store
from tagger.records import Tag
from tests.unit.cli.conftest import saved


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture
def seen(home):
    """Return a home with two dogs of one name, a cat, and one photo that is gone."""
    photos = []
    for number, (name, label, own) in enumerate(
        [
            ("a/x.jpg", "dog", ()),
            ("b/x.jpg", "dog", ("Oma; Ilse",)),
            ('c, "d"/y.jpg', "cat", ()),
            ("gone.jpg", "lemon", ()),
        ]
    ):
        path = home.inbox / name
        if name != "gone.jpg":
            path.parent.mkdir()
            path.write_bytes(b"photo %d" % number)
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        tags = [Tag(label, 0.9 - number / 10, ("animal", label))]
        tags += [Tag(word, 1.0, (word,), "user") for word in own]
        photos.append(saved(home.inbox, path, number, tags))
    with Store(str(home.state)) as store:
        store.save(photos)
    return home


def paths(seen, *names):
    return "".join(f"{seen.inbox / name}\n" for name in names)


def test_words_are_one_query_however_the_shell_splits_them(seen):
    dogs = paths(seen, "a/x.jpg", "b/x.jpg")
    assert seen.run("query", "dog") == dogs
    assert seen.run("query", "puppy", "or", "unicorn") == dogs
    assert seen.run("query", "puppy or unicorn") == dogs
    assert seen.run("query", "狗", "not", "in:inbox/b") == paths(seen, "a/x.jpg")
    assert seen.run("query", "(dog", "or", "cat)", "dog<0.85") == paths(seen, "b/x.jpg")
    assert seen.run("query", '"Oma; Ilse"') == paths(seen, "b/x.jpg")
    assert seen.run("query", "oma;", "ilse") == paths(seen, "b/x.jpg")
    assert seen.run("query", "unicorn") == ""


def test_the_old_options_narrow_any_query(seen):
    assert seen.run("query", "dog or cat", "--min", "0.75") == paths(seen, "a/x.jpg", "b/x.jpg")
    assert seen.run("query", "dog or cat", "--since", "2024-05-03", "--count") == "2\n"
    assert seen.run("query", "dog or cat", "--until", "2024-05-02") == paths(seen, 'c, "d"/y.jpg')
    assert seen.run("query", "dog or cat", "--in", str(seen.inbox / "a")) == paths(seen, "a/x.jpg")
    assert seen.run("query", "dog or cat", "--limit", "1") == paths(seen, "a/x.jpg")
    assert seen.run("query", "dog or cat", "--count", "--limit", "2") == "2\n"
    assert seen.run("query", "cat", "--null") == f'{seen.inbox}/c, "d"/y.jpg\0'
    assert seen.json("query", "dog or cat", "--count") == 3
    assert [photo["path"] for photo in seen.json("query", "cat")] == [
        str(seen.inbox / 'c, "d"' / "y.jpg")
    ]


def test_csv_has_a_line_for_each_photo(seen):
    rows = list(csv.reader(io.StringIO(seen.run("query", "not lemon", "--csv"))))
    assert rows == [
        ["path", "taken_at", "labels"],
        [str(seen.inbox / "a/x.jpg"), "2024-05-04T10:00:00", "dog"],
        [str(seen.inbox / "b/x.jpg"), "2024-05-03T10:00:00", "dog;Oma; Ilse"],
        [str(seen.inbox / 'c, "d"/y.jpg'), "2024-05-02T10:00:00", "cat"],
    ]
    assert seen.run("query", "unicorn", "--csv") == "path,taken_at,labels\n"


def test_an_album_of_links_is_made_and_brought_up_to_date(seen):
    album = seen.folder / "new" / "album"
    assert seen.run("query", "dog", "--link-to", str(album)) == f"2 photos linked to {album}\n"
    assert links(album) == {
        "x.jpg": str(seen.inbox / "a/x.jpg"),
        "x (2).jpg": str(seen.inbox / "b/x.jpg"),
    }
    (album / "y.jpg").write_text("mine")
    os.rename(album / "x.jpg", album / "best.jpg")
    said = seen.run("query", "dog or cat", "--link-to", str(album))
    assert said == f"1 photos linked to {album}, 2 were there already\n"
    assert links(album) == {
        "best.jpg": str(seen.inbox / "a/x.jpg"),
        "x (2).jpg": str(seen.inbox / "b/x.jpg"),
        "y (2).jpg": str(seen.inbox / 'c, "d"/y.jpg'),
    }
    assert (album / "y.jpg").read_text() == "mine"


def links(folder):
    return {path.name: os.readlink(path) for path in folder.iterdir() if path.is_symlink()}


def test_copies_are_complete_dated_and_made_once(seen):
    folder = seen.folder / "copies"
    folder.mkdir()
    (folder / "x.jpg").write_text("mine")
    os.symlink("nowhere", folder / "x (2).jpg")
    said = seen.run("query", "dog", "--copy-to", str(folder))
    assert said == f"2 photos copied to {folder}\n"
    copied = {path.name: path for path in folder.iterdir() if not path.is_symlink()}
    assert set(copied) == {"x.jpg", "x (3).jpg", "x (4).jpg"}
    assert copied["x.jpg"].read_text() == "mine"
    assert copied["x (3).jpg"].read_bytes() == b"photo 0"
    assert copied["x (4).jpg"].read_bytes() == b"photo 1"
    assert copied["x (4).jpg"].stat().st_mtime == 1_700_000_001
    said = seen.run("query", "dog or cat", "--copy-to", str(folder))
    assert said == f"1 photos copied to {folder}, 2 were there already\n"
    assert len(os.listdir(folder)) == 5


def test_a_folder_of_its_own_photos_gets_no_copies(seen):
    before = sorted(seen.inbox.rglob("*"))
    for option in ("--copy-to", "--link-to"):
        said = seen.run("query", "dog", option, str(seen.inbox / "a"))
        assert "1 were there already" in said
    assert len(sorted(seen.inbox.rglob("*"))) == len(before) + 2
    assert {path.name for path in (seen.inbox / "a").iterdir()} >= {"x.jpg", "x (2).jpg"}


def test_a_photo_that_is_gone_is_told_and_the_others_are_copied(seen):
    folder = seen.folder / "copies"
    said = seen.run("query", "lemon or cat", "--copy-to", str(folder), code=2)
    assert said == f"1 photos copied to {folder}\n"
    assert seen.err == f"tagger: {seen.inbox}/gone.jpg is gone; it was not copied\n"
    assert os.listdir(folder) == ["y.jpg"]


@pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
def test_a_folder_that_cannot_be_made_is_told(seen, option):
    (seen.folder / "file").write_text("")
    seen.run("query", "dog", option, str(seen.folder / "file"), code=2)
    assert "cannot write to" in seen.err
    assert seen.err.count("\n") == 1


def test_photos_are_shown_by_the_desktops_program(seen, tmp_path):
    """A script in the place of xdg-open writes down what it is asked to show."""
    tools, asked = tmp_path / "bin", tmp_path / "asked"
    tools.mkdir()
    for name in ("xdg-open", "open"):
        (tools / name).write_text(f'#!/bin/sh\necho "$1" > "{asked}"\n')
        (tools / name).chmod(0o755)

    def show(query, path):
        return subprocess.run(
            [sys.executable, "-m", "tagger", "--config", str(seen.config), "query", *query],
            env=seen.environ() | {"PATH": path, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert show(["cat", "--open"], str(tools)).returncode == 0
    assert asked.read_text() == paths(seen, 'c, "d"/y.jpg')
    assert show(["dog", "--open"], str(tools)).returncode == 0
    album = tmp_path / asked.read_text().strip()
    assert set(links(album)) == {"x.jpg", "x (2).jpg"}
    asked.unlink()
    assert show(["unicorn", "--open"], str(tools)).returncode == 0
    assert not asked.exists()
    without = show(["cat", "--open"], str(tmp_path))
    assert without.returncode == 2
    assert "--link-to" in without.stderr
    (tools / "xdg-open").write_text("#!/bin/sh\nexit 3\n")
    (tools / "open").write_text("#!/bin/sh\nexit 3\n")
    assert "exit 3" in show(["cat", "--open"], str(tools)).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dog", "or"], "nothing follows `or` (column 5 of the query)"),
        (["dog", "(cat"], "`(` is never closed (column 5 of the query)"),
        (["taken:2025-13"], "`2025-13` is no date (column 7 of the query)"),
        (["dog -cat"], "`-cat` begins with `-` (column 5 of the query); write `not`"),
        (["colour:red"], "there is no field `colour` (column 1 of the query)"),
        (["dog", "--csv", "--count"], "--count and --csv exclude each other"),
        (["dog", "--json", "--open"], "--open and --json exclude each other"),
        (["dog", "--since", "2024-1"], "2024-07-15"),
    ],
)
def test_a_mistake_is_one_line_with_its_column(seen, arguments, said):
    assert seen.run("query", *arguments, code=2) == ""
    assert said in seen.err
    assert seen.err.count("\n") == 1


def test_names_that_are_no_text_are_harmless(seen):
    assert seen.run_process("query", b"\xff\xfe") == ""
    assert seen.run("query", b"in:\xff") == ""
    assert seen.run("query", b"camera:\xff") == ""


def test_a_query_for_a_label_imports_nothing_that_takes_long(seen):
    """What a plain query loads is a third of the time that it takes."""
    script = (
        "import sys\nfrom tagger.cli import main\n"
        f"assert main(['--config', {str(seen.config)!r}, 'query', 'dog']) == 0\n"
        "slow = {'logging', 'pathlib', 'tagger.records', 'urllib.request'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    # Without `site`: what a test environment puts into its start may import them itself.
    environ = seen.environ() | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-S", "-c", script], check=True, env=environ)


def test_the_parser_is_imported_only_for_more_than_labels(seen):
    script = (
        "import sys\nfrom tagger.cli import main\n"
        f"c = ['--config', {str(seen.config)!r}, 'query']\n"
        "assert main([*c, 'dog', 'golden', 'retriever']) == 0\n"
        "assert 'parsy' not in sys.modules\n"
        "assert main([*c, 'dog or']) == 2 and main([*c, 'in:x', 'or', 'cat']) == 0\n"
        "assert 'parsy' in sys.modules\n"
        "heavy = {'torch', 'torchvision', 'PIL', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=seen.environ())
