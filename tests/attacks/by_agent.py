"""The attacks with the token of a pod, which a worker can read in its container."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dev.kube_client import JSON_PATCH, STRATEGIC, Reply
from tests.attacks import hostile_values as values
from tests.attacks.neighbour import BURST, EVIL, STREAMS, Attack, Neighbour, attack, config_map

from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import LEASE_API

BY_AGENT: list[Attack] = []


# ---- what the policy refuses ---------------------------------------------------------------------


@attack("Lease: labels of the victim", BY_AGENT, refused=True)
def relabel(me: Neighbour) -> Iterator[Reply]:
    uid = victim_uid(me)
    state = AgentState(AgentPhase.RUNNING, 1, leaving=True, address="127.66.66.66").to_json()
    yield me.change(
        me.own,
        labels={names.LABEL_JOB_UID: uid},
        annotations={names.ANNOTATION_AGENT: state},
    )
    yield me.change(me.own, labels={names.LABEL_JOB_UID: uid, names.LABEL_JOB: me.victim})
    yield me.change(me.own, labels={names.LABEL_INDEX: "0", names.LABEL_LEASE: "round"})
    yield me.change(me.round_path, labels={names.LABEL_JOB_UID: uid})
    me.change(me.own, labels={names.LABEL_JOB_UID: me.uid, names.LABEL_LEASE: "agent"})
    me.change(me.round_path, labels={names.LABEL_JOB_UID: me.uid})


@attack("Lease: made again with labels of the victim", BY_AGENT, refused=True)
def create_relabelled(me: Neighbour) -> Iterator[Reply]:
    me.agent.delete(me.own)
    labels = {
        names.LABEL_JOB: me.victim,
        names.LABEL_JOB_UID: victim_uid(me),
        names.LABEL_LEASE: "agent",
        names.LABEL_INDEX: "0",
        names.LABEL_GENERATION: "0",
    }
    yield me.create_lease(labels=labels)
    yield me.create_lease(labels={**labels, names.LABEL_LEASE: "round"})


@attack("Lease: replaced and patched by other means", BY_AGENT, refused=True)
def replace(me: Neighbour) -> Iterator[Reply]:
    whole = me.agent.get(me.own).body
    meta = whole.get("metadata", {})
    labels = {**meta.get("labels", {}), names.LABEL_JOB_UID: victim_uid(me)}
    yield me.agent.put(me.own, {**whole, "metadata": {**meta, "labels": labels}})
    path = f"/metadata/labels/{names.LABEL_JOB_UID.replace('/', '~1')}"
    yield me.agent.patch(me.own, [{"op": "remove", "path": path}], JSON_PATCH)
    labels = {"metadata": {"labels": {names.LABEL_JOB_UID: victim_uid(me)}}}
    yield me.agent.patch(me.own, labels, STRATEGIC)
    me.change(me.own, labels={names.LABEL_JOB_UID: me.uid})


@attack("Lease: finalizers", BY_AGENT, refused=True)
def add_finalizers(me: Neighbour) -> Iterator[Reply]:
    yield me.change(me.own, finalizers=["evil.example.com/stays"])
    me.change(me.own, finalizers=None)
    yield me.change(me.round_path, finalizers=["evil.example.com/stays"])
    me.change(me.round_path, finalizers=None)


@attack("Lease: owners", BY_AGENT, refused=True)
def change_owners(me: Neighbour) -> Iterator[Reply]:
    victim = {"apiVersion": LEASE_API, "kind": "Lease", "name": f"{me.victim}-round"}
    none = {**victim, "uid": "00000000-0000-0000-0000-000000000000"}
    job = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": me.victim}
    theirs = {**job, "uid": victim_uid(me), "controller": True, "blockOwnerDeletion": True}
    for owners in ([none], [theirs], []):
        yield me.change(me.own, ownerReferences=owners)
    yield me.change(me.round_path, ownerReferences=[none])


@attack("Lease: the operator's annotations", BY_AGENT, refused=True)
def mark(me: Neighbour) -> Iterator[Reply]:
    for value in ("", "{}", '{"v":1,"reason":"x","excused":true}'):
        yield me.annotate(me.own, names.ANNOTATION_ENDED, value)
    desired = '{"v":1,"wanted":"0-99999@0","min":1,"maxRestarts":1}'
    yield me.annotate(me.round_path, names.ANNOTATION_DESIRED, desired)
    yield me.annotate(me.round_path, names.ANNOTATION_DESIRED, None)


@attack("Lease: other annotations and labels", BY_AGENT, refused=True)
def annotate_freely(me: Neighbour) -> Iterator[Reply]:
    for path in (me.own, me.round_path):
        yield me.annotate(path, "evil.example.com/note", "x" * values.LARGE)
        yield me.change(path, labels={"evil.example.com/label": "x"})


@attack("Leases of the victim: changed", BY_AGENT, refused=True, needs_policy=True)
def write_theirs(me: Neighbour) -> Iterator[Reply]:
    leaving = AgentState(AgentPhase.RUNNING, 1, leaving=True).to_json()
    theirs = f"{me.place.leases}/{me.victim}"
    yield me.annotate(f"{theirs}-0-0", names.ANNOTATION_AGENT, leaving)
    yield me.annotate(f"{theirs}-1-0", names.ANNOTATION_ENDED, "{}")
    wrong = values.round_(me.draw, 2, me.victim)
    yield me.annotate(f"{theirs}-round", names.ANNOTATION_ROUND, wrong)
    yield me.agent.patch(f"{theirs}-round", {"spec": {"holderIdentity": me.pod}})


@attack("Leases of the victim: deleted", BY_AGENT, refused=True, needs_policy=True)
def delete_theirs(me: Neighbour) -> Iterator[Reply]:
    for name in ("0-0", "1-0", "round"):
        yield me.agent.delete(f"{me.place.leases}/{me.victim}-{name}")
    yield me.agent.delete(me.place.leases, labelSelector=f"{names.LABEL_JOB}={me.victim}")


@attack("Leases of other names: created", BY_AGENT, refused=True, needs_policy=True)
def forge(me: Neighbour) -> Iterator[Reply]:
    for name in (f"{me.victim}-9-0", f"{me.victim}-0-1", f"{EVIL}-7-7", "leader", "a" * 63):
        yield me.create_lease(name=name)


@attack("Round of its job: deleted", BY_AGENT, refused=True)
def delete_round(me: Neighbour) -> Iterator[Reply]:
    yield me.agent.delete(me.round_path)


@attack("other kinds", BY_AGENT, refused=True)
def use_other_kinds(me: Neighbour) -> Iterator[Reply]:
    for kind in ("pods", "secrets", "configmaps", "serviceaccounts", "events"):
        yield me.agent.get(me.place.path(kind))
    yield me.agent.delete(f"{me.place.path('pods')}/{me.victim}-0-0")
    yield me.agent.patch(f"{me.place.jobs}/{me.victim}", {"spec": {"suspend": True}})
    yield me.agent.patch(f"{me.place.jobs}/{me.victim}/status", {"status": {"restarts": 1}})
    yield me.agent.post(me.place.path("configmaps"), config_map("elasticjob-agent-0"))


# ---- what no policy can refuse -------------------------------------------------------------------


@attack("Lease: states", BY_AGENT)
def write_states(me: Neighbour) -> Iterator[Reply]:
    for _ in range(10):
        state = values.agent(me.draw, me.draw.randint(0, 3), me.victim)
        yield me.annotate(me.own, names.ANNOTATION_AGENT, state)


@attack("Lease: what is no record", BY_AGENT)
def write_broken_states(me: Neighbour) -> Iterator[Reply]:
    for _ in range(5):
        yield me.annotate(me.own, names.ANNOTATION_AGENT, values.broken(me.draw))
    remove = [{"op": "remove", "path": "/metadata/annotations"}]
    yield me.agent.patch(me.own, remove, JSON_PATCH)


@attack("Round: 100,000 members in a few bytes", BY_AGENT)
def write_large_rounds(me: Neighbour) -> Iterator[Reply]:
    n = me.n(me.agent.get(me.round_path).body)
    me.annotate(me.round_path, names.ANNOTATION_REPORT, None)
    for more in range(1, 11):
        members = me.draw.choice(("0-99999@0", "0-49999@0,50000-99999@1", "100-9999@0"))
        fields = {"n": n + more, "phase": "Active", "members": members, "charged": "0-99999"}
        round_ = json.dumps({"v": 1, **fields})
        yield me.annotate(me.round_path, names.ANNOTATION_ROUND, round_)


@attack("Round: wrong fields", BY_AGENT)
def write_rounds(me: Neighbour) -> Iterator[Reply]:
    n = me.n(me.agent.get(me.round_path).body)
    for more in range(1, 11):
        round_ = values.round_(me.draw, n + more, me.victim)
        yield me.annotate(me.round_path, names.ANNOTATION_ROUND, round_)


@attack("Round: what is no record", BY_AGENT)
def write_broken_rounds(me: Neighbour) -> Iterator[Reply]:
    for key in (names.ANNOTATION_ROUND, names.ANNOTATION_REPORT):
        yield me.annotate(me.round_path, key, values.broken(me.draw))
        yield me.annotate(me.round_path, key, None)


@attack("Round: reports", BY_AGENT)
def write_reports(me: Neighbour) -> Iterator[Reply]:
    for _ in range(10):
        report = values.report(me.draw, me.draw.randint(0, 3))
        yield me.annotate(me.round_path, names.ANNOTATION_REPORT, report)


@attack("Round: storms of compare-and-swap", BY_AGENT)
def swap(me: Neighbour) -> Iterator[Reply]:
    found = me.agent.get(me.round_path).body
    n, version = me.n(found), found.get("metadata", {}).get("resourceVersion", "1")
    for more in range(1, BURST):
        round_ = f'{{"v":1,"n":{n + more},"phase":"Forming","members":"","workers":""}}'
        meta = {"resourceVersion": version, "annotations": {names.ANNOTATION_ROUND: round_}}
        reply = me.agent.patch(me.round_path, {"metadata": meta})
        yield reply
        version = reply.version if reply.code == 200 and more % 5 else version


@attack("Leases: holders and times", BY_AGENT)
def write_specs(me: Neighbour) -> Iterator[Reply]:
    for path in (me.own, me.round_path) * 5:
        yield me.agent.patch(path, {"spec": values.spec(me.draw, me.victim)})


@attack("Leases: floods of renewals", BY_AGENT)
def flood(me: Neighbour) -> Iterator[Reply]:
    for second in range(BURST):
        time = f"2026-01-01T00:00:{second:02}.000000Z"
        yield me.agent.patch(me.draw.choice((me.own, me.round_path)), {"spec": {"renewTime": time}})


@attack("Lease: deleted and created", BY_AGENT)
def recreate(me: Neighbour) -> Iterator[Reply]:
    for _ in range(5):
        yield me.agent.delete(me.own)
        yield me.create_lease()


@attack("Leases: lists and watches", BY_AGENT)
def read_all(me: Neighbour) -> Iterator[Reply]:
    streams = []
    try:
        for _ in range(STREAMS):
            yield me.agent.get(me.place.leases)
            streams.append(me.agent.connect())
            headers = {"Authorization": f"Bearer {me.agent.token}"}
            streams[-1].request("GET", f"{me.place.leases}?watch=1", headers=headers)
    finally:  # no byte of these answers is read
        for stream in streams:
            stream.close()


def victim_uid(me: Neighbour) -> str:
    """The UID of the victim, which its Leases show to every agent of the namespace."""
    found = me.agent.get(me.place.leases, labelSelector=f"{names.LABEL_JOB}={me.victim}")
    items = found.body.get("items") or [{}]
    labels = items[0].get("metadata", {}).get("labels", {})
    return str(labels.get(names.LABEL_JOB_UID, "unknown"))
