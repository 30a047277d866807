"""Labels are learned from few examples, given only where that is sure, and asked about before."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.labels.personal.fall import NEVER, Fall, fall_of
from tagger.labels.personal.learner import DOUBTFUL_SHARE, learn
from tagger.labels.personal.model import TaughtModel
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.occasion import occasion_of
from tagger.labels.personal.questions import next_question
from tagger.labels.personal.thresholds import MOST_MISSING, thresholds
from tagger.labels.personal.whitening import Whitening
from tagger.records import TaughtLabel
from tests.support.taught import Subjects, example

MIMI, TOM = TaughtLabel(("animal", "cat", "Mimi")), TaughtLabel(("Tom",))
LIBRARY = [number for number in range(60) for _ in range(20)]


@pytest.fixture(scope="module")
def subjects():
    return Subjects()


@pytest.fixture(scope="module")
def library(subjects):
    return subjects.photos(LIBRARY)


@pytest.fixture(scope="module")
def whitening(library):
    return Whitening.of(Moments.of(library))


def taught(labels, examples, library, whitening, precision=0.95):
    return learn(
        labels, examples, library, model_id="net", precision=precision, whitening=whitening
    )


def finished(lesson, library, precision=0.95):
    scores = lesson.model.scores_of([row.tobytes() for row in library])
    best = [np.sort(scores[:, n])[::-1] for n in range(scores.shape[1])]
    return lesson.finished(best, precision), scores


def test_three_examples_find_a_subject_and_no_other(subjects, library, whitening):
    examples = [example("Mimi", row) for row in subjects.photos([0] * 3)]
    examples += [example("Tom", row) for row in subjects.photos([1] * 3)]
    lesson = taught([MIMI, TOM], examples, library, whitening)
    model, scores = finished(lesson, library)
    for number, subject in enumerate((0, 1)):
        given = {n for n in range(len(library)) if number in model.given(b"", scores[n])}
        right = {n for n, shown in enumerate(LIBRARY) if shown == subject}
        assert given <= right
        assert len(given) > 15
    assert 0.9 < model.confidence(0, scores[:20, 0].max()) <= 1


def test_what_is_seen_is_what_the_vectors_say(library, whitening, subjects):
    """The quick way to a score is exact, and the same in chunks and alone."""
    examples = [example("Mimi", row) for row in subjects.photos([0] * 4)]
    model = taught([MIMI], examples, library, whitening).model
    [fit] = model.fits
    slow = whitening.vectors(library, fit.shrinkage) @ fit.weights
    np.testing.assert_allclose(model.scores(library)[:, 0], slow, atol=2e-5)
    alone = np.array([model.scores(row[np.newaxis])[0, 0] for row in library[:5]])
    np.testing.assert_allclose(alone, slow[:5], atol=2e-5)


def test_a_model_comes_back_from_its_bytes(library, whitening, subjects):
    examples = [example("Mimi", row) for row in subjects.photos([0] * 3)]
    examples += [example("Mimi", row, False) for row in subjects.photos([2] * 2)]
    model, scores = finished(taught([MIMI, TOM], examples, library, whitening), library)
    again = TaughtModel.from_bytes(model.to_bytes())
    np.testing.assert_allclose(again.scores(library), model.scores(library), atol=1e-5)
    assert [fit.label for fit in again.fits] == [MIMI, TOM]
    assert [fit.thresholds for fit in again.fits] == [fit.thresholds for fit in model.fits]
    blobs = [row.tobytes() for row in library]
    np.testing.assert_allclose(again.scores_of(blobs), scores, atol=1e-5)
    assert again.said == model.said
    for damaged in (b"", b"PK", model.to_bytes()[:2000]):
        with pytest.raises(ValueError):
            TaughtModel.from_bytes(damaged)


def test_what_the_user_said_of_a_photo_holds_whatever_its_score(library, whitening, subjects):
    shows, other, tom = library[0], library[1], library[20]
    examples = [example("Mimi", row) for row in subjects.photos([0] * 3)]
    examples += [example("Mimi", tom), example("Mimi", other, False), example("Mimi", shows)]
    model, scores = finished(taught([MIMI], examples, library, whitening), library)
    assert model.given(tom.tobytes(), scores[20]) == {0: 1.0}
    assert model.given(shows.tobytes(), scores[0]) == {0: 1.0}
    assert model.given(other.tobytes(), np.array([9.0], np.float32)) == {}


def test_one_example_gives_nothing_yet(library, whitening, subjects):
    lesson = taught([MIMI], [example("Mimi", subjects.photos([0])[0])], library, whitening)
    model, scores = finished(lesson, library)
    assert model.fits[0].thresholds.write == NEVER
    assert model.fits[0].thresholds.missing == 1
    assert not any(model.given(b"", row) for row in scores)


def test_a_label_without_examples_gives_nothing(library, whitening, subjects):
    examples = [example("Mimi", row) for row in subjects.photos([0] * 3)]
    model, scores = finished(taught([MIMI, TOM], examples, library, whitening), library)
    assert not any(1 in model.given(b"", row) for row in scores)


def test_a_photo_of_the_library_that_was_a_counter_example_is_scored_as_if_it_were_none(
    library, whitening, subjects
):
    examples = [example("Mimi", row) for row in subjects.photos([0] * 5)]
    model = taught([MIMI], examples, library, whitening).model
    own = [n for n in range(20) if library[n].tobytes() in model.unbiased]
    assert own  # some of the 300 are of the subject
    scores = model.scores_of([library[n].tobytes() for n in range(20)])[:, 0]
    others = [scores[n] for n in range(20) if n not in own]
    assert min(scores[own]) > np.mean(others) - 4 * np.std(others)


def test_features_of_another_network_have_no_score(library, whitening, subjects):
    examples = [example("Mimi", row) for row in subjects.photos([0] * 3)]
    model = taught([MIMI], examples, library, whitening).model
    assert model.scores_of([b"", bytes(10)]).tolist() == [[-np.inf], [-np.inf]]


def test_examples_above_a_label_in_the_tree_are_no_counter_examples(library, whitening, subjects):
    cat = TaughtLabel(("animal", "pet"))
    mimi = TaughtLabel(("animal", "pet", "Mimi"))
    examples = [example("Mimi", row) for row in subjects.photos([0] * 4)]
    examples += [example("pet", row) for row in subjects.photos([1] * 4)]
    scores = finished(taught([cat, mimi], examples, library, whitening), library)[1]
    apart = finished(taught([TaughtLabel(("pet",)), TaughtLabel(("Mimi",))], examples, library,
                            whitening), library)[1]  # fmt: skip
    shows = np.array(LIBRARY) == 0
    assert scores[shows, 0].mean() > apart[shows, 0].mean() + 0.2
    assert scores[shows, 1].mean() == pytest.approx(apart[shows, 1].mean(), abs=0.05)


def test_of_many_keywords_the_worst_are_left_out(library, whitening, subjects):
    rows = subjects.photos([0] * 45)
    wrong = subjects.photos([5, 6, 7, 8, 9])
    examples = [example("Mimi", row, origin="keyword") for row in (*rows, *wrong)]
    lesson = taught([MIMI], examples, library, whitening)
    assert len(lesson.labels[0].doubtful) == round(DOUBTFUL_SHARE * 50)
    assert {row.tobytes() for row in wrong} <= {one.features for one in lesson.labels[0].doubtful}
    few = taught([MIMI], examples[:15], library, whitening)
    assert few.labels[0].doubtful == []


def test_photos_of_one_occasion_are_left_out_together(library, whitening, subjects):
    """A burst says of a photo what its neighbours say; without them it is on its own."""
    base = subjects.photos([0])[0].astype(np.float32)
    burst = [np.asarray(base * (1 + 0.001 * n), np.float16) for n in range(4)]
    others = list(subjects.photos([0] * 2))

    def scores(occasion):
        examples = [example("Mimi", row, occasion=occasion) for row in burst]
        examples += [example("Mimi", row) for row in others]
        return taught([MIMI], examples, library, whitening).labels[0].left_out[:4]

    assert max(scores("2024-05-01T10")) < min(scores("")) - 0.05


def test_an_occasion_is_an_hour_and_a_place():
    assert occasion_of(None, 1.0, 2.0) == ""
    here = occasion_of("2024-05-01T10:15:00", 52.5101, 13.4001)
    assert here == occasion_of("2024-05-01T10:59:59", 52.5102, 13.4003) != ""
    assert here != occasion_of("2024-05-01T11:00:00", 52.5101, 13.4001)
    assert here != occasion_of("2024-05-01T10:15:00", 52.6, 13.4001)
    assert occasion_of("2024-05-01T10:15:00", None, None) == "2024-05-01T10"


def library_scores(positives=30):
    chance = np.random.default_rng(3)
    scores = np.concatenate([chance.normal(0, 0.05, 2000), chance.normal(0.4, 0.08, positives)])
    return np.sort(scores)[::-1].astype(np.float32)


def test_answers_move_the_threshold():
    best = library_scores()
    fall = fall_of(best, 0.95)
    first = thresholds(fall, best, [], 0.95).write
    assert 0.25 < first < 0.6
    low = [(first - n * fall.width / 2, True) for n in range(8)]
    assert thresholds(fall, best, low, 0.95).write < first
    high = [*[(first + 0.1, False)] * 3, (first + 0.2, True)]
    assert thresholds(fall, best, high, 0.95).write > first + 0.1
    assert thresholds(fall, best, low, 0.99).write > thresholds(fall, best, low, 0.9).write


def test_with_too_little_evidence_nothing_is_given_and_it_is_told_what_is_missing():
    best = library_scores()
    fall = fall_of(best, 0.95)
    answers = [(fall.cut - 2 * fall.width, False)] * 2
    found = thresholds(fall, best, answers, 0.95)
    assert found.write == NEVER
    assert 1 < found.missing < MOST_MISSING
    answers += [(float(best[0]), True)] * found.missing
    assert thresholds(fall, best, answers, 0.95).write < NEVER
    assert thresholds(fall, best, answers[:-1], 0.95).write == NEVER


def test_the_first_threshold_grows_with_the_library_and_with_the_promise():
    best = library_scores()
    assert fall_of(best, 0.95, 1_000_000).cut > fall_of(best, 0.95).cut
    assert fall_of(best, 0.99).cut > fall_of(best, 0.95).cut > fall_of(best, 0.8).cut


def test_questions_begin_just_above_the_threshold():
    best = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    fall = Fall(0.65, 0.05, 0.5)
    assert next_question(best, fall, []) == 2
    assert next_question(best[:0], fall, []) is None
    assert next_question(np.array([0.3, 0.2]), fall, []) == 0
    yes = [(0.7, True)] * 3
    no = [(0.7, False)] * 3
    assert next_question(best, fall, yes) > next_question(best, fall, no)


def test_a_tiny_library_is_no_error(subjects):
    rows = subjects.photos([0, 0, 1])
    examples = [example("Mimi", rows[0]), example("Mimi", rows[1])]
    lesson = learn([MIMI], examples, rows[2:], model_id="net", precision=0.95)
    model = lesson.finished([np.array([0.1], np.float32)], 0.95)
    assert model.fits[0].thresholds.write == NEVER
