"""The simulated API server as agents reach it: their requests change the records of the world.

The agents run the shipped conversations. A request or an answer takes a random time; the lines of a
watch keep their order. The world has the Leases as records; a mirror has them as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    def __init__(self, world: World, job: JobIdentity) -> None:
        super().__init__(job)
        self.world = world
        self.round_base = leases.round_manifest(job, world.desired, world.lease.round)
        self.round_meta = self.round_base["metadata"]
        self.texts: dict[type, tuple[Any, str]] = {}  # of the last records of each type
        self.writer = ""  # the pod whose agent sends the current request

    def create(self, manifest: Json) -> Json:
        """Store the Lease of an agent. Raises ApiError."""
        name = manifest["metadata"]["name"]
        if name in self.objects:
            raise ApiError(409, f"{name} already exists")
        meta = {**manifest["metadata"], "uid": f"uid-of-{name}", "resourceVersion": "0"}
        self.world.put_lease(leases.parse_agent({**manifest, "metadata": meta}, self.job))
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
            lease = leases.parse_agent(made, self.job)
            self.texts[type(lease.state)] = (
                lease.state, made["metadata"]["annotations"][names.ANNOTATION_AGENT],
            )  # fmt: skip
            self.world.put_lease(lease)
        return self.objects[name]

    def _write_round(self, made: RoundLease, change: Json) -> None:
        notes, spec = change["metadata"].get("annotations", {}), change.get("spec", {})
        has_round, has_holder = names.ANNOTATION_ROUND in notes, "holderIdentity" in spec
        if has_round or has_holder:
            new = made.round if has_round else None
            self.world.put_round(new, made.holder if has_holder else None, self.writer, made.report)
        else:
            self.world.pulse(made.report)

    # ---- from the world --------------------------------------------------------------------------

    def put_round(self, lease: RoundLease) -> None:
        """Mirror a version of the Round Lease."""
        notes = {
            names.ANNOTATION_DESIRED: self._text_of(lease.desired),
            names.ANNOTATION_ROUND: self._text_of(lease.round),
        }
        if lease.report is not None:
            notes[names.ANNOTATION_REPORT] = self._text_of(lease.report)
        spec = {"holderIdentity": lease.holder or None, "renewTime": lease.renew_time}
        meta = {**self.round_meta, "annotations": notes}
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
                self.job, "", lease.pod, lease.nonce, lease.state, lease.renew_time, 3.0
            )
        notes = {names.ANNOTATION_AGENT: self._text_of(lease.state)}
        spec = {"holderIdentity": lease.nonce, "renewTime": lease.renew_time}
        return {**known, "metadata": {**known["metadata"], "annotations": notes}, "spec": spec}

    def _put(self, made: Json, uid: str, version: str) -> None:
        made["metadata"]["uid"] = uid
        self.version = int(version) - 1
        kind = "MODIFIED" if made["metadata"]["name"] in self.objects else "ADDED"
        self.store(kind, made)

    def drop_lease(self, name: str, version: int) -> None:
        """Mirror a deletion."""
        self.version = version - 1
        self.delete(name)


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
        self.next_at: dict[Talk, float] = {}  # no line of a watch arrives before this time

    def wait(self, talk: Talk, need: Any) -> None:
        """A conversation waits for a time, an answer or a line."""
        world = self.world
        if isinstance(need, Pause):
            world.after(need.seconds(world.rng.random()), lambda: self._end_pause(talk, need))
        elif not isinstance(need, NextLine):
            world.after(world.lag(), lambda: self._arrive(talk, need))

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
        self.next_at.pop(talk, None)
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
        if not agent.alive or talk.closed:
            return
        if not agent.writes:
            world.after(world.timeout_s, lambda: self._answer(talk, TIMED_OUT))
            return
        back_s = world.lag()
        if isinstance(need, Open):
            self.next_at[talk] = world.now + back_s
            answer, talk.stream = world.server.open(need, lambda piece: self._send(talk, piece))
        else:
            world.server.writer = agent.me.who.name
            answer = world.server.answer(need)
        world.after(back_s, lambda: self._answer(talk, answer))

    def _answer(self, talk: Talk, answer: Any) -> None:
        if self.agent.alive:
            self.api.answer(talk, answer)

    def _send(self, talk: Talk, piece: Piece) -> None:
        """Deliver a piece in order, after a lag, unless the watch has lost one before."""
        world, watcher_at = self.world, self.next_at
        at = max(watcher_at[talk], world.now + world.lag()) + 1e-6
        watcher_at[talk] = at
        world.after(at - world.now, lambda: self._deliver(talk, piece))

    def _deliver(self, talk: Talk, piece: Piece) -> None:
        if not self.agent.reads:
            self.dead.add(talk)
        if talk in self.dead:
            return
        for line in piece:
            if self.agent.alive and isinstance(talk.need, NextLine):
                self.api.answer(talk, line)
