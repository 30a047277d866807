"""The doctor looks at the folders of examples, and at where their labels are."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tagger.doctor.checks import checks
from tagger.doctor.report import Installation
from tagger.doctor.taught import check_taught
from tagger.index.store import Store
from tagger.index.taught_store import record
from tagger.index.taught_tables import add_label
from tagger.records import TaughtLabel
from tests.support.installations import NOBODY, ROOT, only


@pytest.fixture
def examples(tmp_path):
    """Return a folder with three photos, and something else."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("1.jpg", "2.heic", "3.png", "notes.txt"):
        (folder / name).touch()
    return folder


def of(config, folder, label="animal > cat > Mimi"):
    return only(check_taught(Installation(replace(config, teach={label: str(folder)}))))


@pytest.mark.parametrize("label", ["Mimi", "animal > cat > Mimi"])
def test_a_folder_that_is_well(config, examples, label):
    found = of(config, examples, label)
    assert (found.name, found.state) == (f"teach {label}", "ok")
    assert found.message.startswith("3 photos in ")


def test_a_folder_that_is_not_there_and_one_that_is_a_file(config, examples, tmp_path):
    away = of(config, tmp_path / "away")
    assert (away.state, "No such file" in away.message) == ("error", True)
    file = of(config, examples / "1.jpg")
    assert (file.state, "it is a file" in file.message) == ("error", True)


def test_a_folder_that_the_daemons_user_may_not_read(config, examples, tmp_path):
    if ROOT:
        os.chown(config.state_dir, NOBODY, NOBODY)  # whose daemon it then is
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o077 == 0:
                folder.chmod(0o755)
        examples.chmod(0o700)
        found = of(config, examples)
        assert found.state == "error" and "setfacl" in found.remedy
    else:
        examples.chmod(0)
        assert of(config, examples).state == "error"


@pytest.mark.parametrize(("count", "said"), [(0, "0 photos in "), (1, "1 photo in ")])
def test_too_few_photos(config, examples, count, said):
    for name in ("1.jpg", "2.heic", "3.png")[count:]:
        (examples / name).unlink()
    found = of(config, examples)
    assert found.state == "warning"
    assert found.message.startswith(said)
    assert "at least 2" in found.remedy


@pytest.mark.parametrize(
    ("label", "remedy"),
    [
        ("animal > catt > Mimi", "`cat`"),
        ("qqqqqq > Mimi", "tagger labels --all"),
        ("cat > Mimi", "`animal > cat > Mimi`"),
        ("food > cat > Mimi", "`animal > cat > Mimi`"),
    ],
)
def test_a_label_in_a_place_that_is_not_in_the_tree(config, examples, label, remedy):
    found = of(config, examples, label)
    assert found.state == "warning"
    assert remedy in found.remedy


def test_a_label_under_another_one_that_is_taught(config, examples):
    with Store(config.state_dir) as store:
        record(store, [add_label(TaughtLabel(("family", "Tom")))])
    assert of(config, examples, "family > Tom > laughing").state == "ok"
    # The daemon takes an unknown place as it is written; that does not make it known.
    assert of(config, examples, "family > Ann").state == "warning"


def test_it_is_one_of_the_checks(config, examples):
    found = [one.name for one in checks(Installation(replace(config, teach={"a": str(examples)})))]
    assert "teach a" in found
    assert not [one.name for one in checks(Installation(config)) if one.name.startswith("teach")]
