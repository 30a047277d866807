"""Why a photo has a taught label, or not: its score, what it needed, the examples like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagger.config.schema import Config
from tagger.index import taught_tables as tables
from tagger.index.rows import StoredPrediction
from tagger.index.store import Store
from tagger.index.taught_store import record
from tagger.labels.evidence import Evidence
from tagger.labels.personal.learner import learn
from tagger.labels.personal.thresholds import Thresholds
from tagger.pipeline.taught_reasons import TaughtReasons
from tagger.pipeline.taught_tags import TaughtTags
from tagger.records import Example, TaughtLabel
from tests.support.taught import Subjects

MIMI, TOM = TaughtLabel(("animal", "cat", "Mimi")), TaughtLabel(("Tom",))
EVIDENCE = Evidence.of(np.full(1000, 0.001))


class Chooser:
    """Says how likely any label is on a photo."""

    value = 0.9

    def probability(self, evidence: Evidence, label: str) -> float:
        return self.value


@pytest.fixture(scope="module")
def subjects():
    return Subjects()


@pytest.fixture(scope="module")
def learned(subjects):
    """Return examples, and the model that was learned of them: given from 0.3, asked from 0.1."""
    library = subjects.photos([n for n in range(60) for _ in range(10)])
    examples = [
        Example(label.label, bytes([place, n]), f"/p/{label.label}-{n}.jpg", n < 4,
                features=row.tobytes())
        for place, (label, subject) in enumerate(((MIMI, 0), (TOM, 1)))
        for n, row in enumerate(subjects.photos([subject] * 4 + [2 + place]))
    ]  # fmt: skip
    model = learn([MIMI, TOM], examples, library, model_id="net", precision=0.95).model
    fits = tuple(replace(fit, thresholds=Thresholds(0.3, 0.1)) for fit in model.fits)
    return examples, replace(model, fits=fits)


@pytest.fixture
def reasons(tmp_path, learned):
    """Return a function that explains a photo by the model, or a changed one."""
    examples, model = learned
    with Store(str(tmp_path)) as store:
        statements = [tables.add_label(MIMI), tables.add_label(TOM)]
        record(store, [*statements, *tables.add_examples(examples, "net")])

        def of(features, model_id="net", chooser=None, **changes: object):
            changed = replace(model, fits=tuple(replace(fit, **changes) for fit in model.fits))
            with store.transaction() as db:
                db.execute("DELETE FROM taught_models")
                db.execute("INSERT INTO taught_models VALUES ('net', '', ?)", (changed.to_bytes(),))
            tags = TaughtTags(store.read, Config(), chooser or Chooser())
            stored = StoredPrediction(model_id, b"", b"", features, b"")
            return TaughtReasons(store.read, tags).of(stored, EVIDENCE), tags.tags(stored, EVIDENCE)

        yield of


def test_a_photo_like_the_examples(reasons, subjects):
    (mimi, tom), tags = reasons(subjects.photos([0])[0].tobytes())
    assert (mimi.path, mimi.given, mimi.reason) == (MIMI.path, True, "sure enough")
    assert [tag.label for tag in tags] == ["Mimi", "cat", "animal"]
    assert mimi.score >= mimi.write == pytest.approx(0.3)
    assert (tom.given, tom.reason) == (False, "unlike the examples")
    near = dict(mimi.near)
    assert len(near) == 3 and all(path.startswith("/p/Mimi-") for path in near)
    assert "/p/Mimi-4.jpg" not in near  # which does not show it
    assert list(near.values()) == sorted(near.values(), reverse=True)
    assert min(near.values()) > max(like for _, like in tom.near)
    line = str(mimi)
    assert line.startswith(f"animal > cat > Mimi: taught, score {mimi.score:.3f} (needs 0.300), ")
    assert "tagged: sure enough [nearest examples: Mimi-" in line


def test_what_was_said_of_the_photo_itself(reasons, learned):
    examples, _ = learned
    found, _ = reasons(examples[0].features)
    assert (found[0].given, found[0].reason) == (True, "you said that it shows it")
    assert "/p/Mimi-0.jpg" not in dict(found[0].near)
    refused = next(one for one in examples if one.label == "Mimi" and not one.positive)
    found, tags = reasons(refused.features)
    [mimi] = [one for one in found if one.path == MIMI.path]
    assert (mimi.given, mimi.reason) == (False, "you said that it does not show it")
    assert tags == ()


@pytest.mark.parametrize(
    ("limits", "said", "needs"),
    [
        (Thresholds(9.0, 0.1), "`tagger teach Mimi --ask` may ask about it", "needs 9.000"),
        (Thresholds(float("inf"), 0.1, 4), "4 more answers may do", "no threshold yet"),
        (Thresholds(float("inf"), 0.1, 1), "1 more answer may do", "no threshold yet"),
    ],
)
def test_a_photo_that_is_not_sure_enough(reasons, subjects, limits, said, needs):
    found, tags = reasons(subjects.photos([0])[0].tobytes(), thresholds=limits)
    assert tags == ()
    assert said in found[0].reason and not found[0].given
    assert needs in str(found[0])


def test_the_label_above_rules_it_out(reasons, subjects):
    unlikely = Chooser()
    unlikely.value = 0.01
    found, tags = reasons(subjects.photos([0])[0].tobytes(), chooser=unlikely, gate="cat")
    [mimi] = [one for one in found if one.path == MIMI.path]
    assert (mimi.given, mimi.reason) == (False, "cat is not likely on it")
    assert tags == ()


def test_a_network_that_nothing_was_learned_for(reasons, subjects):
    assert reasons(subjects.photos([0])[0].tobytes(), "other")[0] == []
    assert reasons(b"")[0] == []  # no features
