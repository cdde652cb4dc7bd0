from __future__ import annotations

import select

from elasticjob.agent.inbox import Inbox
from elasticjob.rendezvous.events import GetFailed, Tick


def test_messages_come_in_order_and_wake_the_loop() -> None:
    inbox = Inbox()
    assert inbox.take() is None
    inbox.put(Tick())
    inbox.put(GetFailed("a"))
    assert select.select([inbox.fd], [], [], 0)[0] == [inbox.fd]
    assert [inbox.take(), inbox.take(), inbox.take()] == [Tick(), GetFailed("a"), None]
    inbox.close()


def test_a_full_pipe_loses_nothing() -> None:
    inbox = Inbox()
    for _ in range(70_000):  # a pipe holds 65,536 bytes
        inbox.put(Tick())
    count = 0
    while inbox.take() is not None:
        count += 1
    assert count == 70_000
    inbox.close()
