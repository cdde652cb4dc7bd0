from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

import pytest

from elasticjob.agent.inbox import Inbox
from elasticjob.agent.signals import Signals
from elasticjob.agent.wait import Waiter
from elasticjob.rendezvous.events import Tick


@pytest.fixture
def signals() -> Iterator[Signals]:
    installed = Signals()
    yield installed
    installed.close()


def raise_(number: int) -> None:
    os.kill(os.getpid(), number)


def test_signals_are_recorded_and_wake_the_loop(signals: Signals) -> None:
    assert signals.take() == ()
    raise_(signal.SIGTERM)
    raise_(signal.SIGUSR1)
    raise_(signal.SIGTERM)
    assert select.select([signals.fd], [], [], 1)[0] == [signals.fd]
    assert sorted(signals.take()) == sorted([signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM])
    assert signals.take() == ()


def test_sigchld_wakes_the_loop_and_is_not_returned(signals: Signals) -> None:
    raise_(signal.SIGCHLD)
    assert select.select([signals.fd], [], [], 1)[0] == [signals.fd]
    assert signals.take() == ()


def test_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    Signals().close()
    assert signal.getsignal(signal.SIGTERM) is before


def test_messages_and_signals_end_a_wait(signals: Signals) -> None:
    inbox = Inbox()
    waiter = Waiter(inbox, signals)
    waiter.wait(0.0)  # nothing: time is up
    inbox.put(Tick())
    waiter.wait(None)
    raise_(signal.SIGHUP)
    waiter.wait(None)
    assert waiter.signals() == (signal.SIGHUP,)
    waiter.wait(0.0)  # both were read
    inbox.close()
