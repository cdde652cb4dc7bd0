from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from dev.wait import wait_until

from elasticjob.agent.api.thread_pool import CallThreads

PATIENCE_S = 5.0


class Session:
    """A connection with a number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


class Scene:
    """CallThreads, and the connections that they opened."""

    def __init__(self, limit: int = 4) -> None:
        self.opened: list[Session] = []
        self.used: queue.Queue[int] = queue.Queue()
        self.threads = CallThreads(self.session, limit)

    def session(self) -> Session:
        self.opened.append(Session(len(self.opened) + 1))
        return self.opened[-1]

    def use(self, session: Session) -> None:
        self.used.put(session.number)

    def next_used(self) -> int:
        return self.used.get(timeout=PATIENCE_S)

    def at_most_busy(self, count: int) -> None:
        """Wait until at most this number of threads is busy."""
        wait_until(lambda: self.threads.busy <= count, every_s=0.001)


def waits(event: threading.Event) -> Callable[[Session], None]:
    """Return a call that hangs."""

    def call(session: Session) -> None:
        event.wait(PATIENCE_S)

    return call


def test_calls_one_after_the_other_use_one_connection() -> None:
    scene = Scene()
    for _ in range(5):
        scene.threads.submit(scene.use)
        assert scene.next_used() == 1
        scene.at_most_busy(0)


def test_a_call_that_hangs_does_not_hold_up_the_next() -> None:
    scene, over = Scene(), threading.Event()
    scene.threads.submit(waits(over))
    scene.threads.submit(scene.use)
    assert scene.next_used() == 2
    over.set()


def test_the_number_of_threads_is_limited() -> None:
    scene, over = Scene(limit=2), threading.Event()
    for _ in range(2):
        scene.threads.submit(waits(over))
    for _ in range(4):
        scene.threads.submit(scene.use)
    over.set()
    assert {scene.next_used() for _ in range(4)} <= {1, 2}
    assert len(scene.opened) == 2


def test_the_connection_that_was_used_last_is_used_next() -> None:
    scene, first, second = Scene(), threading.Event(), threading.Event()
    scene.threads.submit(waits(first))
    scene.threads.submit(waits(second))
    first.set()
    scene.at_most_busy(1)
    second.set()
    scene.at_most_busy(0)
    scene.threads.submit(scene.use)
    assert scene.next_used() == 2


def test_closing_ends_idle_threads_and_busy_ones_after_their_call() -> None:
    scene, over = Scene(), threading.Event()
    scene.threads.submit(waits(over))
    scene.threads.submit(scene.use)
    assert scene.next_used() == 2
    scene.at_most_busy(1)
    scene.threads.close()
    assert scene.opened[1].closed.wait(PATIENCE_S)
    assert not scene.opened[0].closed.is_set()
    over.set()
    assert scene.opened[0].closed.wait(PATIENCE_S)
