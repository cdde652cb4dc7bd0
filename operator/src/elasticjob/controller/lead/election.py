"""The election: a thread that moves the candidate, and ends the process if it no longer leads.

The election has a separate thread, event loop and client, so that a busy operator keeps leading. A
stuck one does, too, until the kubelet restarts it because of its liveness probe.
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
from elasticjob.controller.lead.candidate import Candidate, LeaseName, LeaseTimes, Move, next_move

EXIT_LOST = 1
LONGEST_REQUEST_S = 5.0

log = logging.getLogger(__name__)


def boot_time() -> float:
    """Seconds since boot, including suspended time, unlike time.monotonic."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def time_of_day() -> str:
    """The time as metav1.MicroTime, for people who read the Lease."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def candidate_here(times: LeaseTimes) -> Candidate:
    """The candidate of this process: the pod's name for people, and a random part."""
    return Candidate(f"{socket.gethostname()}_{secrets.token_hex(4)}", times)


def end_process(why: str) -> None:
    """End the process at once, before another thread can send a write."""
    log.critical("no longer the leader: %s", why)
    logging.shutdown()
    os._exit(EXIT_LOST)


class Alone:
    """The election of an operator that is the only one: it leads from the start."""

    leads = True

    def start(self, won: Callable[[], None]) -> None:
        """Call won at once."""
        won()

    def stop(self) -> None:
        """Release nothing."""

    def check(self) -> None:
        """Allow every write."""

    def problem(self) -> str:
        """Empty: this operator always leads."""
        return ""


class Election:
    """Takes part in the election until it is stopped.

    api: a separate client, which never waits for the other requests of the operator. lost: called
    with the reason; it does not return in an operator. clock: boot_time. at: time_of_day.
    """

    def __init__(
        self,
        api: Api,
        lease_name: LeaseName,
        me: Candidate,
        *,
        lost: Callable[[str], None] = end_process,
        clock: Callable[[], float] = boot_time,
        at: Callable[[], str] = time_of_day,
    ) -> None:
        self._api = api
        self._lease_name = lease_name
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
        """Whether no other operator can be the leader now."""
        return self._me.leads(self._clock())

    def start(self, won: Callable[[], None]) -> None:
        """Take part from now on; won is called once, on the election's thread."""
        self._won = won
        self._thread.start()

    def stop(self) -> None:
        """Take part no longer and release the Lease. The operator must not write afterwards."""
        self._stopped.set()
        if self._thread.ident is not None:  # else it was never started
            self._thread.join()

    def check(self) -> None:
        """End the process if it does not lead. To be called before each write."""
        if not self.leads:
            self._lost("a write was due after the renew deadline")

    def problem(self) -> str:
        """The problem for /readyz, in one line. A candidate is ready from its first answer on, and
        stays ready while the API server is away for a short time."""
        if self._answered_at is None:
            why = f": {self._logged_problem}" if self._logged_problem else ""
            return f"no answer about the Lease {self._lease_name} yet{why}"
        silent_s = self._clock() - self._answered_at
        if silent_s <= 2 * self._me.times.lease_duration_s:
            return ""
        return f"no answer about the Lease {self._lease_name} for {silent_s:.0f} s"

    # ---- on the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                while runner.run(self._step()):
                    if self._stopped.wait(self._pause_s()):
                        runner.run(self._release())
                        return
        except Exception:  # the process must not continue without this thread
            log.exception("the election failed")
            self._lost("the election failed")

    async def _step(self) -> bool:
        """Read if necessary and make one move. Returns whether the election continues."""
        try:
            async with asyncio.timeout(self._longest_s()):
                if self._is_stale:
                    await self._read()
                move = next_move(self._me, self._clock())
                if move in (Move.CREATE, Move.TAKE, Move.RENEW):
                    await self._write(move)
            self._log_problem("")
        except (ConflictError, AlreadyExistsError, NotFoundError):
            self._is_stale = True  # another one was faster, or the Lease was deleted
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
        if record is None or record.holder == self._me.identity:
            why = "no renewal succeeded in time"
        else:
            why = f"its holder is {record.holder}" if record.holder else "it has no holder"
        self._lost(f"the Lease {self._lease_name}: {why}")
        return True

    async def _read(self) -> None:
        try:
            lease = await self._api.get(LEASES, self._lease_name.namespace, self._lease_name.name)
        except NotFoundError:
            self._note_answer(self._me.seen(None, self._clock()))
            return
        before, record = self._me.record, candidate.parse(lease)
        self._note_answer(self._me.seen(record, self._clock()))
        if record.holder != self._me.identity and (not before or before.holder != record.holder):
            log.info("the holder of the Lease %s is %s", self._lease_name, record.holder or "unset")

    async def _write(self, move: Move) -> None:
        led, sent_at = self._me.renewed_at is not None, self._clock()
        where = (LEASES, self._lease_name.namespace)
        if move is Move.CREATE:
            body = candidate.manifest(self._lease_name.name, self._me, self._at())
            lease = await self._api.create(*where, body)
        else:
            body = candidate.patch(self._me, move, self._at())
            lease = await self._api.patch(*where, self._lease_name.name, body)
        self._note_answer(self._me.wrote(candidate.parse(lease), sent_at, self._clock()))
        if not led:
            log.info("started leading as %s", self._me.identity)
            self._won()

    def _note_answer(self, me: Candidate) -> None:
        self._me, self._answered_at = me, self._clock()
        self._is_stale = me.renewed_at is None

    async def _release(self) -> None:
        """Free the Lease. If this fails the next leader waits for the lease duration."""
        me, self._me = self._me, replace(self._me, renewed_at=None)
        if me.record is None or me.renewed_at is None:
            return
        try:
            async with asyncio.timeout(LONGEST_REQUEST_S):
                body = candidate.release(me.record.version)
                await self._api.patch(
                    LEASES, self._lease_name.namespace, self._lease_name.name, body
                )
            log.info("released the Lease %s", self._lease_name)
        except (KubeError, TimeoutError) as error:
            log.warning("cannot release the Lease %s: %s", self._lease_name, error)

    def _longest_s(self) -> float:
        """The time limit of a step: a request that hangs ends before the deadline."""
        return min(LONGEST_REQUEST_S, self._left_s())

    def _pause_s(self) -> float:
        """The time until the next step: jittered for a candidate, limited for a leader."""
        if self._me.renewed_at is not None:
            return min(self._me.times.retry_period_s, self._left_s())
        return self._me.times.retry_period_s * random.uniform(1.0, 1.2)

    def _left_s(self) -> float:
        deadline = self._me.deadline
        return math.inf if deadline is None else max(0.0, deadline - self._clock())

    def _log_problem(self, what: str) -> None:
        """Log a problem once, not at each try."""
        if what and what != self._logged_problem:
            log.warning("the Lease %s: %s", self._lease_name, what)
        self._logged_problem = what
