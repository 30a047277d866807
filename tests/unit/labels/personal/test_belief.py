"""How far down a label is given: by answers, and by where the user's own examples are."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.labels.personal.belief import FEW_SHOWN, Belief, Scores
from tagger.labels.personal.fall import fall_of
from tagger.labels.personal.learner import learn
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.questions import next_question
from tagger.labels.personal.thresholds import thresholds
from tagger.labels.personal.whitening import Whitening
from tagger.records import TaughtLabel
from tests.support.taught import Subjects, example

WORD = TaughtLabel(("garden",))


def taught(features, shows, examples, answers, precision=0.95):
    """Return which photos are given the word after so many answers, and of which something was
    said."""
    white = Whitening.of(Moments.of(features))
    known = dict.fromkeys(examples, "given")
    while True:
        said = [
            example("garden", features[n], bool(shows[n]), origin=origin)
            for n, origin in known.items()
        ]
        lesson = learn([WORD], said, features, model_id="net", precision=precision, whitening=white)
        scores = lesson.model.scores_of([row.tobytes() for row in features])[:, 0]
        left = np.array([n for n in range(len(features)) if n not in known])
        order = left[np.argsort(-scores[left], kind="stable")]
        if len(known) == len(examples) + answers:
            write = lesson.labels[0].thresholds(scores[order], precision).write
            return order[scores[order] >= write], set(known)
        of = (lesson.labels[0].fall, lesson.labels[0].answers, lesson.labels[0].shown)
        known[int(order[next_question(scores[order], *of)])] = "answer"


def test_a_word_for_much_of_the_library_is_found_by_few_examples_and_answers():
    """As `water`, or `garden`: no single subject, and many photos."""
    subjects = Subjects(count=60, noise=0.45)
    many = [number for number in range(60) for _ in range(12)]
    features = subjects.photos(many)
    shows = np.array(many) < 18
    own = np.random.default_rng(1).permutation(np.flatnonzero(shows))[:10].tolist()
    given, known = taught(features, shows, own, 15)
    right = shows[given].sum()
    assert right >= 0.9 * len(given)
    found = right + sum(shows[n] for n in known) - len(own)
    assert found >= 0.45 * (shows.sum() - len(own))


def scores_of(share, count=2000):
    """Return scores of a library, those that show the word and the others, the best first."""
    chance = np.random.default_rng(3)
    show = chance.normal(0.3, 0.1, int(share * count))
    others = chance.normal(0, 0.1, count - len(show))
    return show, np.sort(np.concatenate([show, others]))[::-1]


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_examples_say_how_much_of_the_library_shows_a_word(share):
    show, best = scores_of(share)
    fall = fall_of(best.astype(np.float32), 0.95)
    answers = [(0.35, True), (0.3, True)]
    shown = show[:20].tolist()
    alone = Belief(fall, best, answers).probabilities(best).sum()
    told = Belief(fall, best, answers, shown).probabilities(best).sum()
    assert abs(told - len(show)) < abs(alone - len(show)) + 0.1 * len(show)
    few = Belief(fall, best, answers, shown[: FEW_SHOWN - 1]).probabilities(best).sum()
    assert few == pytest.approx(alone)


def test_no_single_example_decides():
    show, best = scores_of(0.1)
    fall = fall_of(best.astype(np.float32), 0.95)
    answers = [(0.35, True), (0.3, True), (0.1, False)]
    shown = show[:12].tolist()
    usual = thresholds(fall, best, answers, 0.9, shown).write
    odd = thresholds(fall, best, answers, 0.9, [*shown, -0.3]).write
    assert odd == pytest.approx(usual, abs=0.1)


def test_answers_at_random_photos_are_what_is_believed():
    """With many of them, what is believed is what was answered."""
    show, best = scores_of(0.2, 400)
    others = best[~np.isin(best, show)]
    answers = [(s, True) for s in show[::2]] + [(s, False) for s in others[::2]]
    fall = fall_of(best.astype(np.float32), 0.95)
    found = Belief(fall, best, answers, show[:10].tolist()).probabilities(best)
    assert found.sum() == pytest.approx(len(show), rel=0.2)
    assert (np.diff(found) <= 1e-12).all()


def test_a_rank_of_thinned_scores_is_that_of_all():
    show, best = scores_of(0.3, 6000)
    fall = fall_of(best.astype(np.float32), 0.95)
    belief = Belief(fall, best, [(0.4, True), (0.3, True), (0.1, False), (0.2, True)], show[:20])
    whole, thin = Scores(best, 10_000), Scores(best, 300)
    assert thin.counts.sum() == len(best) and len(thin.values) < 1000
    exact = belief.lowest_rank(whole, 0.9)
    near = belief.lowest_rank(thin, 0.9)
    assert best[exact] == pytest.approx(thin.values[near], abs=0.02)
    assert belief.lowest_rank(Scores(best[:0], 10), 0.9) is None
