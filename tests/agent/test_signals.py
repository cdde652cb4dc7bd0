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


def test_signals_are_noted_and_wake_the_loop(signals: Signals) -> None:
    assert signals.take() == ()
    raise_(signal.SIGTERM)
    raise_(signal.SIGUSR1)
    raise_(signal.SIGTERM)
    assert select.select([signals.fd], [], [], 1)[0] == [signals.fd]
    assert sorted(signals.take()) == sorted([signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM])
    assert signals.take() == ()


def test_a_childs_end_wakes_the_loop_and_is_no_news(signals: Signals) -> None:
    raise_(signal.SIGCHLD)
    assert select.select([signals.fd], [], [], 1)[0] == [signals.fd]
    assert signals.take() == ()


def test_handlers_go_back_to_what_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    Signals().close()
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_doorbell_rings_for_both(signals: Signals) -> None:
    inbox = Inbox()
    bell = Waiter(inbox, signals)
    bell.wait(0.0)  # nothing: time is up
    inbox.put(Tick())
    bell.wait(None)
    raise_(signal.SIGHUP)
    bell.wait(None)
    assert bell.signals() == (signal.SIGHUP,)
    bell.wait(0.0)  # both were heard
    inbox.close()
