"""The bell: rings are kept, counted as one, and may come from a signal handler."""

from __future__ import annotations

import os
import signal
import threading
import time

from tagger.daemon.wakeup import WakeupFd


def test_a_ring_is_kept_and_several_count_as_one():
    bell = WakeupFd()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_another_thread_wakes_the_one_that_waits():
    bell = WakeupFd()
    threading.Timer(0.05, bell.ring).start()
    started = time.monotonic()
    assert bell.wait(30)
    assert time.monotonic() - started < 10


def test_signal_handlers_may_ring_in_the_middle_of_anything():
    """With threading.Event this comes to a standstill sooner or later."""
    bell, rings = WakeupFd(), []

    def handle(number, frame):
        rings.append(number)
        bell.ring()

    old = signal.signal(signal.SIGUSR1, handle)
    stop = threading.Event()

    def shoot():
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        woken = sum(bell.wait(0.5) for _ in range(2000))
    finally:
        stop.set()
        shooter.join()
        signal.signal(signal.SIGUSR1, old)
    assert woken == 2000


def test_it_gives_its_file_descriptor_back():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        WakeupFd().ring()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
