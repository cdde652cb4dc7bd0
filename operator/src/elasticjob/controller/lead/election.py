"""The election as it runs: a thread that moves the candidate, and ends the process if it has lost.

It has a thread, a loop and a client of its own: so a busy operator keeps its place. A stuck one
keeps it too, until its liveness probe ends it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from elasticjob.controller.kube import (
    LEASES,
    AlreadyExistsError,
    Api,
    ConflictError,
    KubeError,
    NotFoundError,
)
from elasticjob.controller.lead import candidate
from elasticjob.controller.lead.candidate import Candidate, Move, Place, Terms, next_move

EXIT_LOST = 1
LONGEST_REQUEST_S = 5.0

log = logging.getLogger(__name__)


def boot_time() -> float:
    """Seconds that go on while the machine sleeps, unlike those of time.monotonic."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def time_of_day() -> str:
    """As metav1.MicroTime, for people who look at the Lease."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def candidate_here(terms: Terms) -> Candidate:
    """Of this process: the pod's name for people, and what no other process has."""
    return Candidate(f"{socket.gethostname()}_{secrets.token_hex(4)}", terms)


def end_process(why: str) -> None:
    """At once, whatever other threads do: a write of theirs could be one too many."""
    log.critical("not the leader any more: %s", why)
    logging.shutdown()
    os._exit(EXIT_LOST)


class Alone:
    """There is no other operator: it leads from the start."""

    leads = True

    def start(self, won: Callable[[], None]) -> None:
        """It has won."""
        won()

    def stop(self) -> None:
        """There is nothing to release."""

    def check(self) -> None:
        """It may write."""

    def problem(self) -> str:
        """Nothing can be wrong."""
        return ""


class Election:
    """Wants to lead until it is stopped.

    api: of its own, so that it never waits for others. lost: does not return in an operator.
    clock: see boot_time. at: see time_of_day.
    """

    def __init__(
        self,
        api: Api,
        place: Place,
        me: Candidate,
        *,
        lost: Callable[[str], None] = end_process,
        clock: Callable[[], float] = boot_time,
        at: Callable[[], str] = time_of_day,
    ) -> None:
        self._api = api
        self._place = place
        self._me = me
        self._won: Callable[[], None] = lambda: None
        self._lost = lost
        self._clock = clock
        self._at = at
        self._answered_at: float | None = None
        self._is_stale = True
        self._logged_problem = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether nobody else can be the leader now."""
        return self._me.leads(self._clock())

    def start(self, won: Callable[[], None]) -> None:
        """Take part from now on. won: called once, on the election's thread."""
        self._won = won
        self._thread.start()

    def stop(self) -> None:
        """Take part no longer; what was held is released. Nothing may be written afterwards."""
        self._stopped.set()
        if self._thread.ident is not None:  # else it was never started
            self._thread.join()

    def check(self) -> None:
        """Ends the process if it does not lead: to be asked before each write."""
        if not self.leads:
            self._lost("something was to be written after the end of its term")

    def problem(self) -> str:
        """What is wrong, for /readyz: a candidate is ready from its first answer on, and stays so
        through an API server that is away for a moment."""
        if self._answered_at is None:
            trouble = f": {self._logged_problem}" if self._logged_problem else ""
            return f"no answer about the Lease {self._place} yet{trouble}"
        silent_s = self._clock() - self._answered_at
        if silent_s <= 2 * self._me.terms.lease_s:
            return ""
        return f"no answer about the Lease {self._place} for {silent_s:.0f} s"

    # ---- on the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                while runner.run(self._step()):
                    if self._stopped.wait(self._pause_s()):
                        runner.run(self._release())
                        return
        except Exception:  # the end of the thread must not go unnoticed
            log.exception("the election failed")
            self._lost("the election failed")

    async def _step(self) -> bool:
        """One look and one move; False: lost."""
        try:
            async with asyncio.timeout(self._longest_s()):
                if self._is_stale:
                    await self._read()
                move = next_move(self._me, self._clock())
                if move in (Move.CREATE, Move.TAKE, Move.RENEW):
                    await self._write(move)
            self._log_problem("")
        except (ConflictError, AlreadyExistsError, NotFoundError):
            self._is_stale = True  # somebody was faster, or has deleted it: look again
        except TimeoutError:
            self._is_stale = True
            self._log_problem("no answer in time")
        except KubeError as error:
            self._is_stale = True
            self._log_problem(str(error))
        return not self._has_lost()

    def _has_lost(self) -> bool:
        if next_move(self._me, self._clock()) is not Move.LOST:
            return False
        record, self._me = self._me.record, replace(self._me, renewed_at=None)
        mine = record is None or record.holder == self._me.identity
        other = record.holder if record and record.holder else "nobody"
        because = "no renewal came through" if mine else f"{other} holds it"
        self._lost(f"the Lease {self._place}: {because}")
        return True

    async def _read(self) -> None:
        try:
            lease = await self._api.get(LEASES, self._place.namespace, self._place.name)
        except NotFoundError:
            self._note_answer(self._me.seen(None, self._clock()))
            return
        before, record = self._me.record, candidate.parse(lease)
        self._note_answer(self._me.seen(record, self._clock()))
        if record.holder != self._me.identity and (not before or before.holder != record.holder):
            log.info("%s holds the Lease %s", record.holder or "nobody", self._place)

    async def _write(self, move: Move) -> None:
        led, sent_at = self._me.renewed_at is not None, self._clock()
        where = (LEASES, self._place.namespace)
        if move is Move.CREATE:
            body = candidate.manifest(self._place.name, self._me, self._at())
            lease = await self._api.create(*where, body)
        else:
            body = candidate.patch(self._me, move, self._at())
            lease = await self._api.patch(*where, self._place.name, body)
        self._note_answer(self._me.wrote(candidate.parse(lease), sent_at, self._clock()))
        if not led:
            log.info("leading, as %s", self._me.identity)
            self._won()

    def _note_answer(self, me: Candidate) -> None:
        self._me, self._answered_at = me, self._clock()
        self._is_stale = me.renewed_at is None

    async def _release(self) -> None:
        """Best effort: who does not find it released waits for a term."""
        me, self._me = self._me, replace(self._me, renewed_at=None)
        if me.record is None or me.renewed_at is None:
            return
        try:
            async with asyncio.timeout(LONGEST_REQUEST_S):
                body = candidate.release(me.record.version)
                await self._api.patch(LEASES, self._place.namespace, self._place.name, body)
            log.info("released the Lease %s", self._place)
        except (KubeError, TimeoutError) as error:
            log.warning("the Lease %s is not released: %s", self._place, error)

    def _longest_s(self) -> float:
        """For a step: not beyond the deadline, whatever hangs."""
        return min(LONGEST_REQUEST_S, self._left_s())

    def _pause_s(self) -> float:
        """Candidates spread out; a leader is back before its deadline."""
        if self._me.renewed_at is not None:
            return min(self._me.terms.retry_period_s, self._left_s())
        return self._me.terms.retry_period_s * random.uniform(1.0, 1.2)

    def _left_s(self) -> float:
        deadline = self._me.deadline
        return math.inf if deadline is None else max(0.0, deadline - self._clock())

    def _log_problem(self, what: str) -> None:
        """Once for each trouble, not once for each try."""
        if what and what != self._logged_problem:
            log.warning("the Lease %s: %s", self._place, what)
        self._logged_problem = what
