"""Tags taken away and given back in quick turn, while a pipeline writes the same photo."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tagger.errors import MetadataError, PhotoError
from tagger.index.store import Store
from tagger.library.edit import TagEditor
from tagger.metadata.managed_file import container_packet
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp import properties
from tagger.pipeline.outcome import Tagged
from tests.support.pipelines import candidate, opened, through

TARGETS = pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
ROUNDS = 40


def words(photo: Path, target: str) -> list[str]:
    """Return the plain keywords in the file that tags go to; [] without it."""
    file = Path(f"{photo}.xmp")
    if target == "embed":
        packet = container_packet(photo.read_bytes())
    else:
        packet = file.read_bytes() if file.exists() else None
    return list(xmp_packet.parse(packet).texts(properties.SUBJECT)) if packet else []


def labels(store: Store, photo: Path) -> list[str]:
    row = store.photo(str(photo))
    assert row is not None
    return [tag.label for tag in store.tags(row.id) if tag.source == "model"]


def agree(store: Store, photo: Path, target: str, expected: set[str]) -> None:
    """Assert that index, file and journal have these labels, each once."""
    row = store.photo(str(photo))
    assert row is not None
    found, written = labels(store, photo), words(photo, target)
    journal = [word for entry in store.entries(row.id) for word in entry.tags.values()]
    for kind, there in (("index", found), ("file", written), ("journal", journal)):
        assert sorted(there) == sorted(expected), kind
    assert store.pending() == []


@TARGETS
@pytest.mark.parametrize("whole", [False, True])
def test_remove_and_give_back_in_quick_turn(
    home: Any, scenes: Any, target: str, whole: bool
) -> None:
    home.configure(write={"target": target})
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    plain = photo.read_bytes()
    home.once()
    wrong: list[BaseException] = []
    ended = threading.Event()
    stepped, steps = threading.Condition(), 0

    with opened(home) as (pipeline, context), Store(context.config.state_dir) as other:
        every = set(labels(other, photo))
        assert len(every) > 1
        leaf = labels(other, photo)[0]
        chosen = () if whole else (leaf,)

        def edit() -> None:
            editor = TagEditor(context.config, other)
            try:
                for number in range(ROUNDS):
                    with stepped:  # so that each step of the pipeline comes in between
                        until = steps + number % 4
                        assert stepped.wait_for(lambda end=until: steps >= end, 60)
                    try:
                        editor.remove(str(photo), chosen)
                    except (MetadataError, PhotoError):
                        pass  # told to the user, who tries again
                    except Exception as error:
                        if "has no tag" not in str(error):
                            raise
                    editor.restore(str(photo), chosen)
            except BaseException as error:  # noqa: BLE001 - raised by the test
                wrong.append(error)
            finally:
                ended.set()

        thread = threading.Thread(target=edit)
        thread.start()
        written = 0
        while not ended.is_set():
            outcomes = pipeline.advance([candidate(photo)] if photo.exists() else [])
            written += sum(isinstance(one, Tagged) for one in outcomes)
            with stepped:
                steps += 1
                stepped.notify_all()
        thread.join()
        assert wrong == []
        assert written > 0
        through(pipeline, ())
        through(pipeline, [candidate(photo)])
        agree(other, photo, target, every)
        row = other.photo(str(photo))
        assert row is not None and not row.keep_out and not other.tombstones(row.id)
        # What is taken away after all that is taken away exactly.
        TagEditor(context.config, other).remove(str(photo))
        agree(other, photo, target, set())
        assert photo.read_bytes() == plain and not Path(f"{photo}.xmp").exists()


@TARGETS
@pytest.mark.parametrize("moved", [False, True])
def test_a_label_given_back_before_a_begun_photo_is_written(
    home: Any, scenes: Any, target: str, moved: bool
) -> None:
    """What the pipeline had read of the photo's journal is not true any more."""
    home.configure(write={"target": target})
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    if moved:
        photo = photo.rename(home.inbox / "b.jpg")
    with opened(home) as (pipeline, context), Store(context.config.state_dir) as other:
        if not moved:
            other.forget_keywords([str(photo)])
        pipeline.advance([candidate(photo)])
        assert pipeline.in_work == 1
        every = set(labels(other, photo))
        editor = TagEditor(context.config, other)
        leaf = labels(other, photo)[0]
        editor.remove(str(photo), [leaf])
        assert leaf not in words(photo, target)
        editor.restore(str(photo), [leaf])
        through(pipeline, ())
        through(pipeline, [candidate(photo)])
        agree(other, photo, target, every)
        row = other.photo(str(photo))
        assert row is not None and not other.tombstones(row.id)


def test_photos_retried_while_they_are_written_are_classified_again(home: Any, scenes: Any) -> None:
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    with opened(home) as (pipeline, context), Store(context.config.state_dir) as other:
        other.forget_keywords([str(photo)])
        pipeline.advance([candidate(photo)])
        assert TagEditor(context.config, other).retry_all([str(photo)]) == 1
        [known] = through(pipeline, ())
        assert isinstance(known, Tagged) and known.how == "known"
        assert other.due() == [str(photo)]
        [again] = through(pipeline, [candidate(photo)])
        assert isinstance(again, Tagged) and again.how == "classified"
        assert other.due() == []
