"""Rounds, Leases, views and agents of one job, `demo`, for tests of the protocol and of the agent.

Pods are written as letters: `A` is the pod of index 0 and generation 0, `B'` that of index 1 and
generation 1. The state in an agent's Lease is written in words: `running 2 leaving`.
The module uses the standard library only and runs on Python 3.9.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from elasticjob.rendezvous import Step, agent_step, events, new_agent
from elasticjob.rendezvous.actions import Action, Start
from elasticjob.rendezvous.members.judge import Case
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rules.join import own_state
from elasticjob.rendezvous.state import Identity, Me
from elasticjob.rendezvous.view import Seen, View
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, JobIdentity, RoundLease
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Endpoint, Phase, Round

JOB = JobIdentity("team", "demo", "uid-of-demo")
T = 5.0


# ---- pods ----------------------------------------------------------------------------------------


def pod(letter: str) -> Pod:
    """`C'` -> index 2, generation 1."""
    name = letter.rstrip("'")
    return Pod(ord(name) - ord("A"), len(letter) - len(name))


def letter(pod_: Pod) -> str:
    """The inverse of pod."""
    return chr(ord("A") + pod_.index) + "'" * pod_.generation


def pods(found: str | Iterable[Pod]) -> frozenset[Pod]:
    """`A B'` -> both pods; pods are returned as they are."""
    return frozenset(map(pod, found.split()) if isinstance(found, str) else found)


def name(letter_: str) -> str:
    """The name of the pod and of its Lease."""
    return names.pod_name(JOB.name, pod(letter_).index, pod(letter_).generation)


def address(pod_: Pod) -> str:
    """Each pod has its own."""
    return f"10.0.{pod_.generation}.{pod_.index}"


def node(pod_: Pod) -> str:
    """Each index sits on its own node."""
    return f"node-{pod_.index}"


# ---- records -------------------------------------------------------------------------------------


def desired(wanted: str = "A B C", **fields: Any) -> Desired:
    """Wants these pods or newer ones; T is 5 s."""
    return Desired(wanted=tuple(sorted(pods(wanted))), **{"heartbeat_s": T, **fields})


def active(
    n: int = 1, members: str | Iterable[Pod] = "A B", charged: Charges | Iterable[int] = (),
    workers: int = 1, **fields: Any,
) -> Round:  # fmt: skip
    """Round n with these members is Active."""
    all_ = tuple(Member(p, workers) for p in sorted(pods(members)))
    master = Endpoint(address(all_[0].pod)) if all_ else None
    fields = {"starts": n, "charged": _charges(charged), **fields}
    return Round(n, Phase.ACTIVE, all_, master, **fields)


def forming(n: int = 0, charged: Charges | Iterable[int] = (), **fields: Any) -> Round:
    """Round n without members."""
    return Round(n, Phase.FORMING, charged=_charges(charged), **fields)


def _charges(numbers: Charges | Iterable[int]) -> Charges:
    return numbers if isinstance(numbers, Charges) else Charges(frozenset(numbers))


def ended(round_: Round, phase: Phase = Phase.FAILED, **fields: Any) -> Round:
    """The round after which nothing comes."""
    return replace(round_, n=round_.n + 1, phase=phase, **fields)


def state(words: str, letter_: str = "A", **fields: Any) -> AgentState:
    """`running 2 leaving` -> the state of such an agent."""
    word, n, *flags = words.split()
    pod_ = pod(letter_)
    return AgentState(
        AgentPhase(word),
        int(n),
        leaving="leaving" in flags,
        **{"node": node(pod_), "address": address(pod_), **fields},
    )


def lease(letter_: str, words: str, version: int = 1, **fields: Any) -> AgentLease:
    """An agent's Lease; `ended` among the words is the operator's mark."""
    pod_ = pod(letter_)
    return AgentLease(
        name=name(letter_),
        pod=pod_,
        version=str(version),
        uid=f"uid-of-{letter_}",
        job_uid=JOB.uid,
        nonce=f"nonce-{letter_}",
        renew_time="",
        state=state(words, letter_, **fields),
        ended="ended" in words.split(),
        excused="excused" in words.split(),
    )


def round_lease(
    round_: Round, holder: str = "", version: int = 1, pulse: str = "", **wanted: Any
) -> RoundLease:
    """A version of the Round Lease, with a report of it. wanted: fields of desired."""
    has_report = wanted.pop("has_report", True)
    return RoundLease(
        version=str(version),
        uid="uid-of-round",
        job_uid=JOB.uid,
        desired=wanted.pop("desired", None) or desired(**wanted),
        round=round_,
        holder=name(holder) if holder else "",
        renew_time=pulse,
        report=Report(round_.n, tuple(sorted(round_.pods))) if has_report else None,
    )


# ---- Leases as the API server stores them --------------------------------------------------------


def is_round_lease(lease_: Json) -> bool:
    """Whether a Lease of the job is its Round Lease."""
    return bool(lease_["metadata"]["labels"][names.LABEL_LEASE] == names.LEASE_ROUND)


FORMING = Round()
DESIRED = desired("A B", heartbeat_s=0.5)


def round_object(
    version: int = 1, round_: Round = FORMING, holder: str = "", job: JobIdentity = JOB
) -> Json:
    """The Round Lease, with DESIRED."""
    found = leases.round_manifest(job, DESIRED, round_)
    found["metadata"].update(resourceVersion=str(version), uid="uid-of-round")
    found["spec"] = {"holderIdentity": name(holder)} if holder else {}
    return found


def agent_object(version: int = 1, letter_: str = "A", job: JobIdentity = JOB) -> Json:
    """An agent's Lease, with the state `ready 0`."""
    nonce, stored = f"nonce-{letter_}", state("ready 0", letter_)
    found = leases.agent_manifest(job, "uid-of-round", pod(letter_), nonce, stored, "now", 2)
    found["metadata"].update(resourceVersion=str(version), uid=f"uid-of-{letter_}")
    return found


def parsed_round(version: int = 1, round_: Round = FORMING, holder: str = "") -> RoundLease:
    """The record of a round_object."""
    return leases.parse_round(round_object(version, round_, holder))


def parsed_agent(version: int = 1, letter_: str = "A") -> AgentLease:
    """The record of an agent_object."""
    return leases.parse_agent(agent_object(version, letter_), JOB)


# ---- what the holder sees ------------------------------------------------------------------------


def seen(
    letter_: str, words: str = "", pulses: int = 0, order: int = 1, confirmed: bool = False,
    version: int = 1, node_: str = "", now: float = 1000.0, quiet_s: float = -1.0, **fields: Any,
) -> Seen:  # fmt: skip
    """A Lease unchanged for this number of pulses, each T apart; no words: absent."""
    quiet_s = pulses * T if quiet_s < 0 else quiet_s
    found = lease(letter_, words, version, **fields) if words else None
    place = node_ or node(pod(letter_))
    made = Seen(found, now - quiet_s, 1000 - pulses, order, place)
    return replace(made, got_at=now, got_pulse=1000) if confirmed else made


def view(own: str, entries: Mapping[str, Any], now: float = 1000.0, **fields: Any) -> View:
    """letter -> words, or what `seen` made of them."""
    found = {
        pod(x): entry if isinstance(entry, Seen) else seen(x, entry, now=now)
        for x, entry in entries.items()
    }
    return View(JOB.name, pod(own), found, pulses=1000, order=1, **fields)


def case(
    round_: Round, entries: Mapping[str, Any], own: str = "A",
    round_at: float = 990.0, now: float = 1000.0, last_call_since: float | None = None,
    **wanted: Any,
) -> Case:  # fmt: skip
    """What a holder judges at second 1000; the round is 10 s old."""
    return Case(
        round=round_,
        desired=wanted.pop("desired", None) or desired(**wanted),
        view=view(own, entries, now, last_call_since=last_call_since),
        round_at=round_at,
        now=Now(now),
        highest_n=round_.n,
    )


# ---- events of an agent --------------------------------------------------------------------------

AB1 = active(1, "A B")
FAILED = events.WorkerExited(1, Cause(CauseKind.WORKER_FAILED, code=1, n=1))


def round_seen(
    round_: Round, version: int = 2, source: events.Source = events.Source.WATCH, holder: str = "Z",
    **wanted: Any,
) -> events.RoundSeen:  # fmt: skip
    """A version of the Round Lease arrives; another agent holds it unless `holder` is given."""
    return events.RoundSeen(round_lease(round_, holder, version, **wanted), source)


# ---- agents --------------------------------------------------------------------------------------


def identity(letter_: str = "A", **fields: Any) -> Identity:
    """Who an agent is."""
    pod_ = pod(letter_)
    fields = {"nonce": f"nonce-{letter_}", "node": node(pod_), "address": address(pod_), **fields}
    return Identity(pod_, name(letter_), job_uid=JOB.uid, **fields)


def agent(letter_: str = "A", **fields: Any) -> Me:
    """An agent that has just begun."""
    return new_agent(identity(letter_, **fields), 0.0)


def steps(me: Me, *given: events.Event, now: float = 0.0) -> tuple[Me, list[Action]]:
    """One event after the other, at the same time; all actions."""
    actions: list[Action] = []
    for event in given:
        me, more, _ = agent_step(me, event, now)
        actions += more
    return me, actions


def assert_early_tick_does_nothing(step: Step, now: float) -> None:
    """An agent that wakes up before again_at acts in no way, and has the same state: so no rule
    waits for an earlier time."""
    assert step.again_at is None or step.again_at > now
    end = step.again_at if step.again_at is not None else now + 1e6
    for at in (now, (now + end) / 2, math.nextafter(end, now)):
        early = agent_step(step.me, events.Tick(), at)
        assert (early.me, early.actions, early.again_at) == (step.me, (), step.again_at), at


def joined(
    letter_: str, round_: Round, holder: str = "Z", now: float = 0.0,
    version: int = 1, pulse: str = "", words: str = "", **wanted: Any,
) -> Me:  # fmt: skip
    """An agent with a Lease that has seen this round; a member runs it and has written that.

    holder: another agent, by default `Z`. words: the state in its Lease instead.
    """
    me = agent(letter_)
    first = round_lease(forming(0), "Z", 0, **wanted)
    me, _ = steps(me, events.RoundSeen(first, events.Source.READ), now=now)
    me, _ = steps(me, events.LeaseSeen(lease(letter_, "ready 0", 0)), now=now)
    present = round_lease(round_, holder, version, pulse, **wanted)
    me, actions = steps(me, events.RoundSeen(present, events.Source.WATCH), now=now)
    if Start(round_) in actions:
        me, _ = steps(me, events.WorkersStarted(round_.n, 10), now=now)
    return _with_state(me, words)


def _with_state(me: Me, words: str) -> Me:
    """The agent with this state in its Lease; its next renewal is due after T."""
    if words:
        found = state(words)
        me = replace(me, phase=found.phase, n=found.n, leaving=found.leaving)
    return replace(
        me, own_version="1", written_state=own_state(me).to_json(), writing_state="", renew_at=T
    )


def holding(letter_: str, round_: Round, leases: Iterable[AgentLease], **fields: Any) -> Me:
    """The same as the holder, with a complete view of these Leases."""
    now = fields.get("now", 0.0)
    me = joined(letter_, round_, holder=letter_, **fields)
    present = me.lease
    assert present is not None
    given = (events.RoundSeen(present, events.Source.READ), events.ViewComplete(tuple(leases)))
    return steps(me, *given, now=now)[0]


def of(kind: type[Any], actions: Iterable[Action]) -> list[Any]:
    """The actions of one kind."""
    return [action for action in actions if isinstance(action, kind)]
