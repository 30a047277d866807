"""``tagger model try`` and ``use``: another network, compared and taken up, and the way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tagger.library.network_trial import TRIAL_NAME, kept_trial
from tests.support.classifiers import save_classifier
from tests.support.tagged_page import opened


@pytest.fixture
def photos(home: Any, scenes: list[Path]) -> list[Path]:
    """Return four photos that the demo's network has tagged."""
    home.configure(
        model=home.settings["model"] | {"scenes": "none", "detector": "none"},
        labels={"threshold": 0.3},
    )
    made = []
    for name, scene in zip("abcd", scenes, strict=False):
        made.append(home.inbox / f"{name}{scene.suffix}")
        shutil.copy2(scene, made[-1])
    home.once()
    return made


def leaf(home: Any, photo: Path) -> str:
    """Return the most specific label of a photo."""
    found = home.json("show", str(photo))
    return max((tag["path"] for tag in found["tags"]), key=len)[-1]


def labels(home: Any, photo: Path) -> set[str]:
    found = home.json("show", str(photo))
    return {tag["label"] for tag in found["tags"]}


def own(home: Any, *classes: str) -> Path:
    """Return the description of a network that is sure of the first class in any picture."""
    weights = np.zeros((3, len(classes)))
    weights[:, 0] = 30
    save_classifier(home.folder / "net.onnx", weights, size=32)
    path = home.folder / "own.yaml"
    path.write_text(
        f"file: net.onnx\nclasses: {json.dumps(classes)}\nsize: 32\noutput: logits\n"
        "features: means\nmean: [0, 0, 0]\ndeviation: [1, 1, 1]\n"
    )
    return path


def test_another_network_is_compared_and_nothing_changed(home: Any, photos: list[Path]) -> None:
    before = {photo: labels(home, photo) for photo in photos}
    files = {path: path.read_bytes() for path in [home.config, *home.inbox.iterdir()]}
    network = own(home, "red thing", "other thing")
    found = home.json("model", "try", str(network))
    assert (found["kind"], found["names"]) == ("subjects", ["resnet18", str(network)])
    assert [len(found["photos"]), found["failed"], found["same_tags"]] == [4, 0, 0]
    assert all(value > 0 for value in found["milliseconds"] + found["cpu_milliseconds"])
    for photo in found["photos"]:
        assert set(photo["present"]) == set(photo["lost"]) == before[Path(photo["path"])]
        assert photo["other"] == photo["gained"] == ["red thing"]
    assert found["labels"][0] == ["red thing", 0, 4]
    assert files == {path: path.read_bytes() for path in [home.config, *home.inbox.iterdir()]}

    said = home.run("model", "try", str(network), str(photos[0]), "--limit", "1")
    assert "0 of 1 photos get the same tags." in said
    assert f"{photos[0]}: " in said and "+ red thing" in said
    assert "Milliseconds a photo" in said and "Photos without a tag" in said


def test_the_page_shows_it_side_by_side(home: Any, photos: list[Path]) -> None:
    client = opened(home)
    assert "No networks have been compared" in client.get("/networks").text
    home.run("model", "try", str(own(home, "red <thing>", "other")))
    page = client.get("/networks").text
    assert "0 of 4 photos get the same tags." in page
    assert page.count("/thumbnail") == 4 and "red &lt;thing&gt;" in page
    assert all(photo.name in page for photo in photos)
    (home.state / TRIAL_NAME).write_text('{"photos": [], "names": 1}')
    assert "No networks have been compared" in client.get("/networks").text


def test_what_is_kept_of_a_comparison(home: Any, photos: list[Path]) -> None:
    found = home.json("model", "try", str(own(home, "x", "y")))
    kept = kept_trial(str(home.state))
    assert kept is not None
    assert [photo.path for photo in kept.photos] == [photo["path"] for photo in found["photos"]]
    assert kept.labels() == [tuple(row) for row in found["labels"]]


def test_a_network_is_taken_up_without_losing_a_decision_and_back(
    home: Any, photos: list[Path]
) -> None:
    before = {photo: labels(home, photo) for photo in photos}
    taken_away = leaf(home, photos[0])
    home.run("untag", str(photos[0]), "--label", taken_away)
    home.run("untag", str(photos[1]))
    home.config.write_text("# mine\n" + home.config.read_text())
    network = own(home, taken_away, "nothing")
    said = home.run("model", "use", str(network))
    assert "looked at again by the next `tagger run`" in said
    config = yaml.safe_load(home.config.read_text())
    assert config["model"]["name"] == str(network) and config["model"]["weights"] is None
    assert home.config.read_text().startswith("# mine\n")

    home.run("run", "--once")
    assert labels(home, photos[2]) == labels(home, photos[3]) == {taken_away}
    assert labels(home, photos[0]) == set(), "it was taken away from this one"
    assert labels(home, photos[1]) == set(), "and this one is left alone"
    assert home.json("status")["incomplete"] in (0, None)

    home.run("model", "use", "--back")
    settings = yaml.safe_load(home.config.read_text())["model"]
    assert settings == config["model"] | {
        "name": "resnet18",
        "weights": home.settings["model"]["weights"],
    }
    home.run("run", "--once")
    assert labels(home, photos[2]) == before[photos[2]]
    assert labels(home, photos[3]) == before[photos[3]]
    assert taken_away not in labels(home, photos[0])
    assert labels(home, photos[1]) == set()
    assert f"{photos[2]}.xmp" in map(str, home.inbox.iterdir())


def test_a_running_daemon_moves_over(home: Any, photos: list[Path], eventually: Any) -> None:
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("pid") == daemon.pid, 60)
    eventually(lambda: home.heartbeat().get("model"), 60)
    said = home.run("model", "use", str(own(home, "red thing", "other")))
    assert "the daemon reads its config again" in said
    eventually(lambda: str(home.heartbeat().get("model")).startswith("own-"), 60)
    eventually(lambda: all(labels(home, photo) == {"red thing"} for photo in photos), 60)
    eventually(lambda: home.heartbeat().get("incomplete") == 0, 60)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("use",), 2, "--back"),
        (("use", "--back"), 2, "was not changed"),
        (("use", "resnet18"), 2, "is the network in use"),
        (("use", "resnet19"), 2, "resnet18"),
        (("use", "none"), 2, "--kind"),
        (("use", "yolox_nano", "--kind", "scenes"), 2, "no network of scenes"),
        (("use", "resnet34"), 2, "resnet34"),
        (("use", "/no/such.yaml"), 2, "there is no file"),
        (("try", "resnet18"), 2, "is the network in use"),
        (("try", "resnet34"), 2, "resnet34"),
    ],
)
def test_mistakes(
    home: Any, photos: list[Path], words: tuple[str, ...], code: int, says: str
) -> None:
    before = home.config.read_text()
    home.run("model", *words, code=code)
    assert says in home.err
    assert home.config.read_text() == before


def test_a_config_that_cannot_be_written_is_told(home: Any, photos: list[Path]) -> None:
    home.config.write_text("{" + ", ".join(
        f"{key}: {json.dumps(value)}" for key, value in home.settings.items()
    ) + "}")  # fmt: skip
    network = own(home, "x", "y")
    home.run("model", "use", str(network))
    assert yaml.safe_load(home.config.read_text())["model"]["name"] == str(network)
