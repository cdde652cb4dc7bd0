"""A hostile neighbour: it attacks the other jobs of its namespace, and the operator, all the time.

It has two identities. The *agent* is the token of a pod of its job `evil`, whose image starts no
agent, so that nothing corrects what the token writes. The *author* may write ElasticJobs and
ConfigMaps in the namespace, and changes its own jobs only. A third part, the worker in vandal.py,
damages the files that its agent reads.

A seed decides the order and the content of the attacks. The tally counts the answers to each.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dev.kube_client import Client, Json, Reply
from dev.wait import wait_until

from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import LEASE_API, JobIdentity
from elasticjob.wire.member import Pod

EVIL, TOY = "evil", "toy"
"""The job of the agent, and the job that the author deletes and creates."""
CONFIG = "evil-path"
NO_AGENT = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do /bin/sleep 1 & wait; done\n"
"""In place of python3, so that the pod of `evil` has a token and no agent."""
BURST = 60
STREAMS = 20
ENTRY_S = 60.0
ANSWERS = {401: "no token", 403: "refused", 404: "absent", 409: "conflict"}
COLUMNS = ("allowed", "refused", "invalid", "conflict", "absent", "no token", "no answer", "other")


@dataclass(frozen=True)
class Place:
    """The namespace of the neighbour, and what it can do there."""

    namespace: str
    author: Client
    enter: Callable[[str], tuple[str, str] | None]
    """(UID of a job) -> the name and the token of a running pod of this job, or None."""
    body: Callable[..., Json]
    """(name, command, **spec): a job. Its worker container is the first container."""
    is_protected: bool
    """Whether the chart's admission policies apply."""

    def path(self, kind: str, group: str = "/api/v1") -> str:
        """The path of a collection."""
        return f"{group}/namespaces/{self.namespace}/{kind}"

    @property
    def leases(self) -> str:
        return self.path("leases", f"/apis/{LEASE_API}")

    @property
    def jobs(self) -> str:
        return self.path(names.PLURAL, f"/apis/{names.API_VERSION}")


@dataclass(frozen=True)
class Attack:
    """One kind of attack, which sends some requests and yields their answers."""

    name: str
    send: Callable[[Neighbour], Iterator[Reply]]
    is_refused: bool
    """Whether the chart must refuse every request of it."""
    needs_policy: bool
    """Whether nothing but the policy refuses it, so that the local mode leaves it out."""


Function = Callable[["Neighbour"], Iterator[Reply]]


def attack(
    name: str, into: list[Attack], *, refused: bool = False, needs_policy: bool = False
) -> Callable[[Function], Function]:
    """Add a function to the attacks of an identity."""

    def add(function: Function) -> Function:
        into.append(Attack(name, function, refused, needs_policy))
        return function

    return add


@dataclass
class Neighbour:
    """One identity in action. Every request is one attempt."""

    place: Place
    victim: str
    seed: int
    attacks: Sequence[Attack]
    has_token: bool
    """Whether the attacks use the token of a pod."""
    pause_s: float = 0.0
    """Between two attacks: those of the author start pods."""
    stop: threading.Event = field(default_factory=threading.Event)
    tally: dict[str, Counter[str]] = field(default_factory=dict)
    pod: str = f"{EVIL}-0-0"

    def __post_init__(self) -> None:
        self.draw = random.Random(f"{self.seed} {self.has_token}")
        self.author = self.place.author.as_user(self.place.author.token)
        self.agent = self.place.author.as_user("none")
        self.uid = ""

    def run(self) -> None:
        """Perform each attack once; then attack until `stop` is set."""
        known = [a for a in self.attacks if self.place.is_protected or not a.needs_policy]
        try:
            for each in self._in_turn(known):
                self.attempt(each)
                self.stop.wait(self.pause_s)
        finally:
            self.agent.close()
            self.author.close()

    def _in_turn(self, known: Sequence[Attack]) -> Iterator[Attack]:
        yield from self.draw.sample(known, len(known))
        while True:
            for each in self.draw.sample(known, len(known)):
                if self.stop.is_set():
                    return
                yield each

    def attempt(self, each: Attack) -> None:
        """Perform one attack and count the answers."""
        seen = self.tally.setdefault(each.name, Counter())
        try:
            if self.has_token:
                self.prepare()
            for reply in each.send(self):
                seen[answer(reply)] += 1
                if reply.code == 401:
                    break
        except OSError:
            seen["no answer"] += 1

    # ---- the identity of the agent

    def prepare(self) -> None:
        """Make sure that the token is valid and that the agent's Lease exists and is its own."""
        found = self.agent.get(self.own)
        job = self.author.get(f"{self.place.jobs}/{EVIL}").body
        is_gone = job.get("metadata", {}).get("uid") != self.uid
        if is_gone or found.code in (401, 403):  # without its job, an account has no rights
            self.enter()
        elif found.code == 404:
            self.create_lease()
        elif found.body["metadata"].get("labels", {}).get(names.LABEL_JOB) != EVIL:
            self.agent.delete(self.own)
            self.create_lease()

    def enter(self) -> None:
        """Get the token of a pod of `evil`, and create the Lease of this pod."""
        for _ in range(round(ENTRY_S / 0.2)):
            with suppress(OSError):
                if self.stop.is_set() or self.has_entered():
                    return
            self.stop.wait(0.2)

    def has_entered(self) -> bool:
        """Create the job again if it has ended; whether a pod of it runs, whose token is valid."""
        job = self.author.get(f"{self.place.jobs}/{EVIL}")
        if job.code == 404:
            self.author.post(self.place.jobs, evil_job(self.place))
            return False
        if job.body.get("status", {}).get("completionTime"):
            self.author.delete(f"{self.place.jobs}/{EVIL}")
            return False
        self.uid = job.body["metadata"]["uid"]
        found = self.place.enter(self.uid)
        if found is None:
            return False
        self.pod, self.agent.token = found
        return self.create_lease().code in (200, 201, 409)

    @property
    def own(self) -> str:
        """The path of the agent's Lease."""
        return f"{self.place.leases}/{self.pod}"

    @property
    def round_path(self) -> str:
        """The path of the job's Round Lease."""
        return f"{self.place.leases}/{names.round_lease_name(EVIL)}"

    def create_lease(self, **metadata: Any) -> Reply:
        """Create the agent's Lease, as an agent does, with other metadata."""
        round_ = self.agent.get(self.round_path).body
        owner = round_["metadata"]["uid"] if round_.get("kind") == "Lease" else "none"
        job = JobIdentity(self.place.namespace, EVIL, self.uid)
        state = AgentState(AgentPhase.READY, self.n(round_), address="127.66.66.66")
        pod = Pod(*names.parse_pod_name(self.pod))
        body = leases.agent_manifest(job, owner, pod, "evil", state, NOW, 60)
        body["metadata"].update(metadata)
        return self.agent.post(self.place.leases, body)

    def n(self, round_: Json) -> int:
        """The number of the current round, as far as it can be read."""
        try:
            return leases.parse_round(round_).round.n
        except ValueError:
            return 1

    def annotate(self, path: str, key: str, value: Any, **rest: Any) -> Reply:
        """Patch one annotation of a Lease with the agent's token."""
        return self.agent.patch(path, {"metadata": {"annotations": {key: value}}, **rest})

    def change(self, path: str, **metadata: Any) -> Reply:
        """Patch metadata of a Lease with the agent's token."""
        return self.agent.patch(path, {"metadata": metadata})


NOW = "2026-01-01T00:00:00.000000Z"


def answer(reply: Reply) -> str:
    """The column of an answer."""
    if 200 <= reply.code < 300:
        return "allowed"
    return ANSWERS.get(reply.code, "invalid" if 400 <= reply.code < 500 else "other")


def evil_job(place: Place, name: str = EVIL, **spec: Any) -> Json:
    """A job whose pods have a token and no agent."""
    body = place.body(name, ["python3"], replicas=2, minReplicas=1, maxRestarts=10_000, **spec)
    pod = body["spec"]["template"]["spec"]
    config = {"name": CONFIG, "defaultMode": 0o555}
    pod.setdefault("volumes", []).append({"name": "path", "configMap": config})
    worker = pod["containers"][0]
    worker.setdefault("volumeMounts", []).append({"name": "path", "mountPath": "/evil"})
    worker.setdefault("env", []).append({"name": "PATH", "value": "/evil"})
    return body


def end_orphans(place: Place, client: Client) -> None:
    """Create the jobs again whose groups the author has orphaned, and wait until the operator has
    ended these groups: without a new job of the name they run on, as the author has requested.

    client: may create jobs, and read pods and Leases.
    """
    for name in (TOY, EVIL):
        wait_until(lambda name=name: _has_no_orphans(place, client, name), within_s=90)


def _has_no_orphans(place: Place, client: Client, name: str) -> bool:
    client.post(place.jobs, evil_job(place, name))  # refused if it exists
    meta = client.get(f"{place.jobs}/{name}").body["metadata"]
    lease = client.get(f"{place.leases}/{name}-round").body.get("metadata", {})
    pods = client.get(place.path("pods"), labelSelector=f"{names.LABEL_JOB}={name}").body["items"]
    found = [*pods, {"metadata": lease}]
    uids = {each["metadata"].get("labels", {}).get(names.LABEL_JOB_UID) for each in found}
    return bool(meta.get("uid")) and "deletionTimestamp" not in meta and uids <= {meta["uid"], None}


def config_map(name: str, **content: Any) -> Json:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **content}
