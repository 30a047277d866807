"""Which worker gets which photo, and who is silent, stuck or refused."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future

import pytest

from tagger.cluster.members import (
    MOST_LOST,
    SILENT_SECONDS,
    STUCK_SECONDS,
    TOGETHER,
    UNSEEN_IN_A_ROW,
    Asked,
    Member,
    Task,
    Waiting,
    elsewhere,
    least_together,
    portions,
    working,
)
from tagger.pipeline.recognition import answer


def asked(count: int) -> deque[Asked]:
    return deque(Asked(f"/p/{n}.jpg", "/p", 9, Future()) for n in range(count))


def member(name: str, *, threads: int = 1, state="ready") -> Member:
    made = Member(f"tcp://10.0.0.{name}:99", name, threads, 0.0)
    made.state = state
    return made


def give(queue, members):
    """Give out photos as the coordinator does; return how many each worker has got."""
    for one, photos in portions(queue, members):
        one.tasks.add(Task(photos, 0.0))
    return [one.in_work for one in members]


def test_few_photos_are_shared_out_and_each_is_given_once():
    queue, members = asked(4), [member("1"), member("2"), member("3")]
    photos = list(queue)
    assert sorted(give(queue, members)) == [1, 1, 2]
    given = [one for each in members for task in each.tasks for one in task.photos]
    assert sorted(map(id, given)) == sorted(map(id, photos)) and not queue


def test_a_worker_has_no_more_than_a_few_batches_however_many_wait():
    queue, members = asked(10_000), [member("1"), member("2", threads=4)]
    assert give(queue, members) == [TOGETHER * 3, TOGETHER * 6]
    assert len(queue) == 10_000 - TOGETHER * 9
    assert all(len(task.photos) <= TOGETHER for one in members for task in one.tasks)
    assert give(queue, members) == [TOGETHER * 3, TOGETHER * 6], "there was no room"


@pytest.mark.parametrize("state", ["greeted", "silent", "refused"])
def test_only_who_is_ready_gets_photos(state):
    queue = asked(3)
    assert working([member("1", state=state)], 0) == ([], 0)
    assert give(queue, [member("1", state=state)]) == [0] and len(queue) == 3


def test_what_nobody_wants_any_more_is_dropped():
    queue = asked(3)
    queue[1].seen.cancel()
    assert give(queue, [member("1")]) == [2]


def test_many_photos_a_second_are_not_sent_one_by_one():
    queue, members = asked(12), [member(str(n)) for n in range(12)]
    assert give(queue, members) == [1] * 12
    queue, members = asked(12), [member(str(n)) for n in range(12)]
    found = [len(photos) for _, photos in portions(queue, members, least_together(300.0))]
    assert found == [8, 4]
    assert [least_together(rate) for rate in (0.0, 39.0, 100.0, 10_000.0)] == [1, 1, 3, TOGETHER]


def test_a_photo_goes_to_who_has_not_tried_it_even_if_another_one_is_idle():
    waiting, (one, two, three) = Waiting(), [member(str(n)) for n in range(3)]
    two.tasks.add(Task(list(asked(9)), 0.0))
    (photo,) = asked(1)
    photo.avoid[one.address] = "it is not there"
    waiting.again([photo])
    assert len(waiting) == 1 and not waiting.photos
    assert elsewhere(waiting.unseen, [one]) == [] and len(waiting) == 1
    assert elsewhere(waiting.unseen, [one, two]) == [(two, [photo])] and not len(waiting)
    waiting.again([photo])
    assert elsewhere(waiting.unseen, [one, two, three]) == [(three, [photo])]
    photo.avoid[three.address] = "it is not there"
    waiting.again([photo])
    assert list(waiting.ours) == [photo], "two are enough"


def test_a_photo_that_no_worker_there_sees_is_ours():
    waiting, one = Waiting(), member("1")
    (photo,) = asked(1)
    photo.avoid[one.address] = "it is not there"
    waiting.again([photo])
    waiting.sort_out([])
    assert not waiting.ours
    waiting.sort_out([one, member("2")])
    assert not waiting.ours
    waiting.sort_out([one])
    assert waiting.take(any_photo=False) is photo and not len(waiting)


def test_the_rate_is_that_of_new_photos():
    waiting = Waiting()
    waiting.measure(10.0)
    for photo in asked(30):
        waiting.add(photo)
    waiting.again([waiting.photos.popleft()])
    waiting.measure(12.0)
    assert waiting.rate == 15.0 and len(waiting) == 30
    waiting.measure(13.0)
    assert waiting.rate == 0.0


def test_readers_are_shared_out_and_never_more():
    members = [member(str(n)) for n in range(5)]
    assert working(members, 0) == (members, 0)
    assert working(members, 12) == (members, 2)
    some, each = working(members, 3)
    assert len(some) * each == 3
    assert working([], 3) == ([], 0)


def test_a_worker_that_is_not_heard_is_silent_until_it_is_heard_again():
    one = member("1")
    one.heard(100.0, 0.0)
    one.heard(100.0, SILENT_SECONDS - 0.1)
    assert one.state == "ready"
    one.heard(100.0, SILENT_SECONDS)
    assert one.state == "silent" and not one.room
    one.heard(101.0, SILENT_SECONDS + 5)
    assert one.state == "greeted", "the offer may be another one by now"
    one.heard(101.0, 2 * SILENT_SECONDS + 5)
    assert one.state == "silent", "it may stop while it is greeted, too"


def test_photos_of_a_lost_worker_go_to_others_once_and_are_ours_after_some():
    one, queue = member("1"), asked(2)
    queue[1].seen.set_result(None)
    task = Task(list(queue), 0.0)
    assert one.leave(task, lost=True) == [queue[0]] and one.leave(task, lost=True) == []
    assert queue[0].lost == 1 and not queue[0].for_us
    for _ in range(MOST_LOST - 1):
        one.leave(Task([queue[0]], 0.0), lost=True)
    assert queue[0].for_us


def test_photos_that_are_had_for_too_long_go_to_others_and_keep_their_place():
    one, queue = member("1"), asked(3)
    one.tasks.add(Task(list(queue), 0.0))
    assert one.stuck(STUCK_SECONDS - 0.1) == []
    assert one.stuck(STUCK_SECONDS) == list(queue) and one.stuck(STUCK_SECONDS + 1) == []
    assert one.in_work == 3, "a worker that answers nothing gets no others instead"
    assert all(photo.lost == 0 for photo in queue)


def test_who_sees_no_photo_in_a_row_is_found_out():
    one = member("1")
    assert not any(one.saw_not() for _ in range(UNSEEN_IN_A_ROW - 1))
    one.saw(1, 0.0)
    assert not any(one.saw_not() for _ in range(UNSEEN_IN_A_ROW - 1)) and one.saw_not()


def test_the_first_answer_counts():
    (one,) = asked(1)
    assert answer(one.seen, ValueError("first")) and not answer(one.seen, None)
    assert isinstance(one.seen.exception(), ValueError)
    (gone,) = asked(1)
    gone.seen.cancel()
    assert gone.done and not answer(gone.seen, None)
