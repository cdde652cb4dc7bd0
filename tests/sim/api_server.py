"""The simulated API server as agents reach it: their requests change the records of the world.

The agents run the shipped conversations. A request or an answer takes a random time; the lines of a
watch keep their order. The world has the Leases as records; a mirror has them as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.sim.cluster import JOB
from tests.support.agent_api import CUT, AgentApi, Talk
from tests.support.lease_server import ApiError, LeaseServer, Piece
from tests.support.merge_patch import merge

from elasticjob.agent.api.conversation import NextLine, NoAnswer, Open, Pause, Time
from elasticjob.rendezvous.state import Identity
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.lease import AgentLease, EndedMark, JobIdentity, RoundLease

if TYPE_CHECKING:
    from tests.sim.world import Agent, World

NAMESPACE = "team"
TIMED_OUT = NoAnswer("timed out")


class Mirror(LeaseServer):
    """The Leases of the world as JSON. What agents write goes to the world, which mirrors it."""

    def __init__(self, world: World) -> None:
        super().__init__(self.identity(""))
        self.world = world
        self.round_base: Json = {}
        self.texts: dict[type, tuple[Any, str]] = {}  # of the last records of each type
        self.writer: Identity | None = None  # of the agent that sends the current request

    @staticmethod
    def identity(uid: str) -> JobIdentity:
        """The job with this UID. All have one name."""
        return JobIdentity(NAMESPACE, JOB, uid)

    def _identity_of(self, body: Json) -> JobIdentity:
        return self.identity(leases.job_uid_of(body))

    def create(self, manifest: Json) -> Json:
        """Store the Lease of an agent. Raises ApiError."""
        name = manifest["metadata"]["name"]
        if name in self.objects:
            raise ApiError(409, f"{name} already exists")
        meta = {**manifest["metadata"], "uid": f"uid-of-{name}", "resourceVersion": "0"}
        made = {**manifest, "metadata": meta}
        lease = leases.parse_agent(made, self._identity_of(made))
        self.world.put_lease(lease, owner=meta["ownerReferences"][0]["uid"])
        return self.objects[name]

    def patch(self, name: str, change: Json) -> Json:
        """Write a Lease as an agent does. Raises ApiError."""
        stored = self.objects.get(name)
        if stored is None:
            raise ApiError(404, f"{name} not found")
        if change["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise ApiError(409, "the object has been modified")
        made = merge(stored, change)
        if name == names.round_lease_name(self.job.name):
            self._write_round(leases.parse_round(made), change)
        else:
            lease = leases.parse_agent(made, self._identity_of(made))
            self.texts[type(lease.state)] = (
                lease.state, made["metadata"]["annotations"][names.ANNOTATION_AGENT],
            )  # fmt: skip
            self.world.put_lease(lease)
        return self.objects[name]

    def _write_round(self, made: RoundLease, change: Json) -> None:
        assert self.writer is not None
        who, pod = self.writer.name, self.writer.pod
        notes, spec = change["metadata"].get("annotations", {}), change.get("spec", {})
        has_round, has_holder = names.ANNOTATION_ROUND in notes, "holderIdentity" in spec
        if has_round or has_holder:
            new = made.round if has_round else None
            holder = made.holder if has_holder else None
            self.world.put_round(new, holder, who, pod, made.report)
        else:
            self.world.pulse(made.report, pod)

    # ---- from the world --------------------------------------------------------------------------

    def put_round(self, lease: RoundLease) -> None:
        """Mirror a version of the Round Lease."""
        if names.round_lease_name(JOB) not in self.objects:
            job = self.identity(lease.job_uid)
            self.round_base = leases.round_manifest(job, lease.desired, lease.round)
        notes = {
            names.ANNOTATION_DESIRED: self._text_of(lease.desired),
            names.ANNOTATION_ROUND: self._text_of(lease.round),
        }
        if lease.report is not None:
            notes[names.ANNOTATION_REPORT] = self._text_of(lease.report)
        spec = {"holderIdentity": lease.holder or None, "renewTime": lease.renew_time}
        meta = {**self.round_base["metadata"], "annotations": notes}
        self._put({**self.round_base, "metadata": meta, "spec": spec}, lease.uid, lease.version)

    def _text_of(self, record: Any) -> str:
        """The annotation of a record. Most versions keep theirs, as the same object."""
        kept, text = self.texts.get(type(record), (None, ""))
        if kept is not record:
            text = record.to_json()
            self.texts[type(record)] = record, text
        return text

    def put_lease(self, lease: AgentLease) -> None:
        """Mirror a version of an agent Lease."""
        made = self._manifest_of(lease)
        if lease.ended:
            mark = EndedMark("gone", lease.excused)
            made["metadata"]["annotations"][names.ANNOTATION_ENDED] = mark.to_json()
        self._put(made, lease.uid, lease.version)

    def _manifest_of(self, lease: AgentLease) -> Json:
        known = self.objects.get(lease.name)
        if known is None:
            return leases.agent_manifest(
                self.identity(lease.job_uid),
                self.world.owners[lease.name],
                lease.pod,
                lease.nonce,
                lease.state,
                lease.renew_time,
                3.0,
            )
        notes = {names.ANNOTATION_AGENT: self._text_of(lease.state)}
        spec = {"holderIdentity": lease.nonce, "renewTime": lease.renew_time}
        return {**known, "metadata": {**known["metadata"], "annotations": notes}, "spec": spec}

    def _put(self, made: Json, uid: str, version: str) -> None:
        made["metadata"]["uid"] = uid
        self.version = int(version) - 1
        kind = "MODIFIED" if made["metadata"]["name"] in self.objects else "ADDED"
        self.store(kind, made)

    def drop(self, name: str, version: int) -> None:
        """Mirror a deletion."""
        self.version = version - 1
        self.delete(name)


@dataclass(eq=False)
class OpenStream:
    """A stream of a watch. next_at: no line of it arrives before this time."""

    next_at: float


class AgentNetwork:
    """What is between one agent and the API server."""

    def __init__(self, world: World, agent: Agent, job: JobIdentity, identity: Identity) -> None:
        self.world = world
        self.agent = agent
        self.api = AgentApi(
            job,
            identity,
            post=lambda talk, event: world.feed(agent, event),
            time=lambda: Time(world.now, f"{world.now:.6f}"),
            wait=self.wait,
            fail=lambda reason: world.end(agent, reported=True, code=75),
            close=self.close,
        )
        self.dead: set[Talk] = set()  # watches that have lost lines
        self.streams: dict[Talk, OpenStream] = {}

    def wait(self, talk: Talk, need: Any) -> None:
        """A conversation waits for a time, an answer or a line."""
        world = self.world
        if not isinstance(need, NextLine):
            self.close(talk)
        if isinstance(need, Pause):
            world.after(need.seconds(world.rng.random()), lambda: self._end_pause(talk, need))
        elif not isinstance(need, NextLine):
            out_s = world.lag(self.agent)
            world.after(out_s, lambda: self._arrive(talk, need))
            if out_s >= world.timeout_s:  # its write arrives when the agent no longer waits
                world.after(world.timeout_s, lambda: self._answer_to(talk, need, TIMED_OUT))

    def cut(self) -> None:
        """End the open streams."""
        for talk in tuple(self.api.watches):
            self.dead.discard(talk)
            if isinstance(talk.need, NextLine):
                self.close(talk)
                self.api.answer(talk, CUT)

    def darken(self) -> None:
        """From now on the open streams deliver nothing."""
        self.dead.update(self.api.watches)

    def close(self, talk: Talk) -> None:
        """End a stream at the server."""
        self.world.server.close(talk.stream)
        self.streams.pop(talk, None)
        self.dead.discard(talk)

    def end(self) -> None:
        """The agent is gone."""
        for talk in self.api.watches:
            self.world.server.close(talk.stream)

    def _end_pause(self, talk: Talk, need: Pause) -> None:
        if self.agent.alive and talk.need is need:
            self.api.answer(talk, False)

    def _arrive(self, talk: Talk, need: Any) -> None:
        world, agent = self.world, self.agent
        is_over = not agent.alive or talk.closed or talk.need is not need
        if isinstance(need, Open) and is_over:
            return
        if not agent.writes:
            self._time_out(talk, need)
        elif isinstance(need, Open):
            back_s = world.lag()
            stream = self.streams[talk] = OpenStream(world.now + back_s)
            send = partial(self._send, talk, stream)
            answer, talk.stream = world.server.open(need, send)
            world.after(back_s, lambda: self._answer_to(talk, need, answer))
        else:
            self._perform(talk, need)

    def _perform(self, talk: Talk, need: Any) -> None:
        """Perform a request, also if its sender has ended or no longer waits for the answer."""
        world, agent = self.world, self.agent
        world.server.writer = agent.me.who
        answer = world.server.answer(need)
        if agent.answers:
            world.after(world.lag(agent), lambda: self._answer_to(talk, need, answer))
        else:
            self._time_out(talk, need)

    def _time_out(self, talk: Talk, need: Any) -> None:
        self.world.after(self.world.timeout_s, lambda: self._answer_to(talk, need, TIMED_OUT))

    def _answer_to(self, talk: Talk, need: Any, answer: Any) -> None:
        """Answer what a conversation waits for, unless it no longer waits for it."""
        if self.agent.alive and talk.need is need:
            self.api.answer(talk, answer)

    def _send(self, talk: Talk, stream: OpenStream, piece: Piece) -> None:
        """Deliver a piece in order, after a lag, unless the watch has lost one before."""
        world = self.world
        lag_s = world.lag() + self.agent.lag_s
        stream.next_at = max(stream.next_at, world.now + lag_s) + 1e-6
        world.after(stream.next_at - world.now, lambda: self._deliver(talk, stream, piece))

    def _deliver(self, talk: Talk, stream: OpenStream, piece: Piece) -> None:
        if self.streams.get(talk) is not stream:
            return  # it was closed meanwhile
        if not self.agent.reads:
            self.dead.add(talk)
        if talk in self.dead:
            return
        for line in piece:
            if self.agent.alive and isinstance(talk.need, NextLine):
                self.api.answer(talk, line)
