"""Jobs on the local mode: what a test reads of a job, changes in it, and waits for.

The local mode runs its API server and kubelet in the process of the test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.wait import wait_until_async
from tests.support import sign_ins
from tests.support.protocol import is_round_lease
from tests.support.sign_ins import SignIn

from elasticjob.controller.report.texts import LONGEST_STATUS, clipped
from elasticjob.local.api.objects.builtins import EVENTS, LEASES, NAMESPACES, PODS
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event
from elasticjob.local.up import Local
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import WireError
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.round import Round


class LocalNamespace:
    """One namespace of the local mode, and every round of its jobs."""

    patience_s = 60.0
    look_every_s = 0.01

    def __init__(self, local: Local, namespace: str, root: Path) -> None:
        """Create the namespace. root: the directory for files of the workers."""
        self.local = local
        self.namespace = namespace
        self.root = root
        self.store = local.server.store
        self.faults = local.server.faults
        self.kubelet = local.kubelet
        self.jobs = self.store.resources[names.GROUP, names.PLURAL]
        self.rounds: dict[str, list[Round]] = {}
        self.store.listeners.append(self._record)
        self.store.create(NAMESPACES, "", {"metadata": {"name": namespace}})

    async def until(self, holds: Callable[[], Any], what: str = "the condition") -> Any:
        """Wait for the first true result of the function, and return it."""
        limits = {"within_s": self.patience_s, "every_s": self.look_every_s}
        return await wait_until_async(holds, what=what, **limits)

    def _record(self, resource: Resource, event: Event) -> None:
        meta = event.object["metadata"]
        if resource != LEASES or meta["namespace"] != self.namespace:
            return
        if event.type != "DELETED" and is_round_lease(event.object):
            rounds = self.rounds.setdefault(meta["labels"][names.LABEL_JOB], [])
            try:
                round_ = leases.parse_round(event.object).round
            except WireError:  # code in a job may write anything as its round
                return
            if not rounds or rounds[-1] != round_:
                rounds.append(round_)


class LocalJob:
    """A job by its name; it may be absent. signs_in: whether its workers sign in."""

    def __init__(self, namespace: LocalNamespace, name: str, signs_in: bool = False) -> None:
        self.name = name
        self.signs_in = signs_in
        self.register: Path = namespace.root / f"{namespace.namespace}-{name}"
        self._cluster = namespace
        self._store = namespace.store
        self._namespace = namespace.namespace

    # ---- what there is to see --------------------------------------------------------------------

    @property
    def status(self) -> Object:
        """As the operator wrote it last."""
        body = self._store.get(self._cluster.jobs, self._namespace, self.name)
        found: Object = body.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """STATUS."""
        return str(self.status.get("phase", ""))

    @property
    def failure(self) -> Object:
        """lastFailure, without its time; {}: there was none."""
        found = self.status.get("lastFailure", {})
        return {field: value for field, value in found.items() if field != "time"}

    def condition(self, kind: str) -> Object:
        """The condition of this type; {} if there is none."""
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    @property
    def lease(self) -> RoundLease:
        """The Round Lease."""
        name = names.round_lease_name(self.name)
        return leases.parse_round(self._store.get(LEASES, self._namespace, name))

    @property
    def round(self) -> Round:
        """The current round."""
        return self.lease.round

    @property
    def rounds(self) -> list[Round]:
        """Every round that there was."""
        return self._cluster.rounds.get(self.name, [])

    @property
    def agents(self) -> dict[str, AgentLease]:
        """The agents' Leases by name."""
        found = self._store.list(LEASES, self._namespace, self._is_mine)
        uid = self._store.get(self._cluster.jobs, self._namespace, self.name)["metadata"]["uid"]
        job = leases.JobIdentity(self._namespace, self.name, uid)
        parsed = [leases.parse_agent(body, job) for body in found if not is_round_lease(body)]
        return {lease.name: lease for lease in parsed}

    @property
    def pods(self) -> dict[str, str]:
        """Names and UIDs, by name."""
        found = self._store.list(PODS, self._namespace, self._is_mine)
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found}

    def pod(self, name: str) -> Object:
        """One of its pods."""
        return self._store.get(PODS, self._namespace, f"{self.name}-{name}")

    def ended(self, name: str) -> Object:
        """How the worker container of a pod ended; {} if it has not ended or the pod is gone."""
        pod = self._store.find(PODS, self._namespace, f"{self.name}-{name}") or {}
        statuses = pod.get("status", {}).get("containerStatuses", [])
        found: Object = statuses[0]["state"].get("terminated", {}) if statuses else {}
        return found

    def workers(self, n: int) -> list[SignIn]:
        """The workers of round n that were started, by rank; of jobs whose workers sign in."""
        return [each for each in sign_ins.read(self.register) if each.n == n]

    def events(self, reason: str) -> list[str]:
        """The messages of this reason that `kubectl describe` shows of it."""
        found = self.event_objects()
        return [event.get("message", "") for event in found if event["reason"] == reason]

    def event_objects(self) -> list[Object]:
        """Its events, by their last change."""
        found = self._store.list(EVENTS, self._namespace)
        mine = [e for e in found if e["involvedObject"]["name"] == self.name]
        return sorted(mine, key=lambda event: int(event["metadata"]["resourceVersion"]))

    # ---- what a person does ----------------------------------------------------------------------

    def edit(self, **spec: Any) -> None:
        """As `kubectl patch`."""
        change = lambda old: {**old, "spec": {**old["spec"], **spec}}  # noqa: E731
        self._store.update(self._cluster.jobs, self._namespace, self.name, change)

    def write_round(self, round_: Round) -> None:
        """Write the round without the rules of the protocol, as any client with the right can."""

        def change(old: Object) -> Object:
            notes = {**old["metadata"]["annotations"], names.ANNOTATION_ROUND: round_.to_json()}
            return {**old, "metadata": {**old["metadata"], "annotations": notes}}

        name = names.round_lease_name(self.name)
        self._store.update(LEASES, self._namespace, name, change)

    def delete(self) -> None:
        """As `kubectl delete elasticjob`."""
        self._store.delete(self._cluster.jobs, self._namespace, self.name)

    def delete_pod(self, name: str, options: Object | None = None) -> None:
        """As `kubectl delete pod`. options: a DeleteOptions."""
        self._store.delete(PODS, self._namespace, f"{self.name}-{name}", options)

    async def hurry(self, **desired: float) -> None:
        """Newcomers are taken up at once. Numbers that no field of the spec sets stay as they are
        in `desired`: there a test can change them."""
        await self.until(lambda: self.rounds, "its Round Lease")

        def change(old: Object) -> Object:
            told = {"cooldown_s": 0.1, **desired}
            changed = dataclasses.replace(leases.parse_round(old).desired, **told)  # type: ignore[arg-type]
            meta = old["metadata"]
            said = {**meta["annotations"], names.ANNOTATION_DESIRED: changed.to_json()}
            return {**old, "metadata": {**meta, "annotations": said}}

        name = names.round_lease_name(self.name)
        self._store.update(LEASES, self._namespace, name, change)

    # ---- waiting ---------------------------------------------------------------------------------

    async def until(self, holds: Any, what: str) -> Any:
        """What the function answers, once that is true."""
        return await self._cluster.until(holds, f"{self.name}: {what}")

    async def is_(self, phase: str) -> None:
        """Once STATUS begins so, as far as it contains a long text."""
        cut = clipped(phase, LONGEST_STATUS)
        await self.until(lambda: self.phase.startswith(phase) or self.phase == cut, phase)

    async def runs(self, n: int, pods: int, workers: int = 0) -> None:
        """Wait until the status reports that this round runs with all of this number of pods.

        An agent reports after exec, so wait also until the workers, one a pod, have signed in.
        """
        await self.until(lambda: self._running() == (n, pods), f"round {n} runs in {pods} pods")
        if self.signs_in:
            await self.starts(n, workers or pods)

    async def runs_again(self, pods: int, after: int = 1) -> int:
        """Wait until the newest round is a later one and runs in these pods; return its number."""

        def holds() -> bool:
            n = self.rounds[-1].n
            return n > after and self._running() == (n, pods)

        await self.until(holds, f"{pods} pods run a round after {after}")
        return self.rounds[-1].n

    def _running(self) -> tuple[int, int] | None:
        """The round and the pods as the status has it, if all of them run."""
        status = self.status
        ready, _, wanted = status.get("ready", "").partition("/")
        is_full = status.get("phase") == "Running" and ready == wanted
        return (status["round"], int(ready)) if is_full else None

    async def starts(self, n: int, workers: int) -> list[SignIn]:
        """Wait until this number of workers of round n has signed in; return them."""
        await self.until(lambda: len(self.workers(n)) == workers, f"{workers} workers of round {n}")
        return self.workers(n)

    async def reports(self, reason: str, text: str = "") -> None:
        """Wait for an event of this reason that contains this text."""
        said = f"event {reason} {text!r}"
        await self.until(lambda: any(text in m for m in self.events(reason)), said)

    async def renews(self, times: int = 1) -> None:
        """Wait until each agent has renewed its Lease and the holder has pulsed, `times` times."""
        for _ in range(times):
            before = self._renewals()
            await self.until(
                lambda before=before: all(self._renewals().get(k) != v for k, v in before.items()),
                "news of every agent",
            )

    def _renewals(self) -> dict[str, str]:
        lease = self.lease
        members = [f"{self.name}-{p.index}-{p.generation}" for p in lease.round.pods]
        said = {name: self.agents[name].renew_time for name in members if name != lease.holder}
        return {**said, "pulse": lease.renew_time}

    def _is_mine(self, body: Object) -> bool:
        return bool(body["metadata"].get("labels", {}).get(names.LABEL_JOB) == self.name)
