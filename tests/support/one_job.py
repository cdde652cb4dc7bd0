"""One ElasticJob of a test's cluster: what there is to see of it, and what a person does to it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import sign_ins
from tests.support.sign_ins import SignIn

from elasticjob.local.api.objects.builtins import EVENTS, LEASES, PODS
from elasticjob.local.api.objects.resource import Object
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.round import Round

if TYPE_CHECKING:
    from tests.support.cluster import Cluster


class Job:
    """By name; it may not exist yet, or no more. signs_in: whether its workers sign in."""

    def __init__(self, cluster: Cluster, name: str, signs_in: bool = False) -> None:
        self.name = name
        self.signs_in = signs_in
        self.register: Path = cluster.root / f"{cluster.namespace}-{name}"
        self._cluster = cluster
        self._store = cluster.store
        self._namespace = cluster.namespace

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
        """One of its conditions; {}: it is not said."""
        return next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})

    @property
    def lease(self) -> RoundLease:
        """The Round Lease."""
        name = names.round_lease_name(self.name)
        return leases.parse_round(self._store.get(LEASES, self._namespace, name))

    @property
    def round(self) -> Round:
        """The present round."""
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
        job = leases.Job(self._namespace, self.name, uid)
        parsed = [leases.parse_agent(body, job) for body in found if not leases.is_round(body)]
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
        """How the worker container of a pod ended; {}: it has not, or was never started."""
        statuses = self.pod(name).get("status", {}).get("containerStatuses", [])
        found: Object = statuses[0]["state"].get("terminated", {}) if statuses else {}
        return found

    def workers(self, n: int) -> list[SignIn]:
        """The workers of round n that were started, by rank; of jobs whose workers sign in."""
        return [each for each in sign_ins.read(self.register) if each.n == n]

    def events(self, reason: str) -> list[str]:
        """The messages of this reason that `kubectl describe` shows of it."""
        found = self._store.list(EVENTS, self._namespace)
        mine = [e for e in found if e["involvedObject"]["name"] == self.name]
        return [event.get("message", "") for event in mine if event["reason"] == reason]

    # ---- what a person does ----------------------------------------------------------------------

    def edit(self, **spec: Any) -> None:
        """As `kubectl patch`."""
        change = lambda old: {**old, "spec": {**old["spec"], **spec}}  # noqa: E731
        self._store.update(self._cluster.jobs, self._namespace, self.name, change)

    def write_round(self, round_: Round) -> None:
        """As whoever may write the Round Lease, whatever the rules of the protocol are."""

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
        await self.until(lambda: self.rounds, "its Round")

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
        """Once STATUS begins so."""
        await self.until(lambda: self.phase.startswith(phase), phase)

    async def runs(self, n: int, pods: int, workers: int = 0) -> None:
        """Once the status says that this round runs with all of so many pods.

        An agent says so after exec: so long the workers, one a pod, may take to sign in.
        """
        await self.until(lambda: self._running() == (n, pods), f"round {n} runs in {pods} pods")
        if self.signs_in:
            await self.starts(n, workers or pods)

    async def runs_again(self, pods: int, after: int = 1) -> int:
        """Once a later round runs with so many pods, and is the last so far: its number."""

        def holds() -> bool:
            n = self.rounds[-1].n
            return n > after and self._running() == (n, pods)

        await self.until(holds, f"{pods} pods run a round after {after}")
        return self.rounds[-1].n

    def _running(self) -> tuple[int, int] | None:
        """Round and pods as the status has it, if all of them run."""
        status = self.status
        ready, _, wanted = status.get("ready", "").partition("/")
        is_full = status.get("phase") == "Running" and ready == wanted
        return (status["round"], int(ready)) if is_full else None

    async def starts(self, n: int, workers: int) -> list[SignIn]:
        """The workers of round n, once so many have signed in, whatever the status says."""
        await self.until(lambda: len(self.workers(n)) == workers, f"{workers} workers of round {n}")
        return self.workers(n)

    async def tells(self, reason: str, text: str = "") -> None:
        """Once there is an event of this reason with this text."""
        said = f"event {reason} {text!r}"
        await self.until(lambda: any(text in m for m in self.events(reason)), said)

    async def heard(self, times: int = 1) -> None:
        """Once each agent has renewed its Lease so often, and the holder has given its pulse."""
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
