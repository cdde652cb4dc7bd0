"""The attacks of a user who may write the ElasticJobs and ConfigMaps of the namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dev.kube_client import Json, Reply
from tests.attacks import hostile_values as values
from tests.attacks.neighbour import (
    EVIL,
    TOY,
    Attack,
    Neighbour,
    Place,
    attack,
    config_map,
    evil_job,
)

from elasticjob.wire import names

VANDAL = "vandal"
FAILURES = 4  # of the vandal; each doubles the delay of the next start
VANDAL_SCRIPT = Path(__file__).with_name("vandal.py").read_text()
BY_AUTHOR: list[Attack] = []


@attack("jobs: names like those of the victim's objects", BY_AUTHOR)
def collide(me: Neighbour) -> Iterator[Reply]:
    for suffix in ("-0", "-0-0", "-round", "-1"):
        name = f"{me.victim}{suffix}"
        yield me.author.post(me.place.jobs, evil_job(me.place, name))
        me.stop.wait(me.pause_s)
        yield me.author.delete(f"{me.place.jobs}/{name}")


@attack("jobs: typing errors and absurd numbers", BY_AUTHOR, refused=True)
def mistype(me: Neighbour) -> Iterator[Reply]:
    for spec in (
        {"replicas": 10**6},
        {"replicas": -1},
        {"replicas": "2"},
        {"minReplicas": 5},
        {"maxRestarts": 10**9},
        {"template": {}},
        {"template": []},
        {"nprocPerNode": 10**9},
    ):
        body = evil_job(me.place, "typo")
        body["spec"].update(spec)
        yield me.author.post(me.place.jobs, body)
    yield me.author.post(me.place.jobs, evil_job(me.place, "x" * 60))


@attack("jobs: 10,000 pods that a quota refuses", BY_AUTHOR, needs_policy=True)
def want_all(me: Neighbour) -> Iterator[Reply]:
    body = evil_job(me.place, "huge")
    body["spec"].update(replicas=10_000, minReplicas=10_000)
    yield me.author.post(me.place.jobs, body)
    me.stop.wait(5 * me.pause_s)
    yield me.author.delete(f"{me.place.jobs}/huge")


@attack("jobs: labels and account of the victim in the template", BY_AUTHOR)
def forge_template(me: Neighbour) -> Iterator[Reply]:
    body = evil_job(me.place, "forged")
    labels = {names.LABEL_JOB: me.victim, names.LABEL_INDEX: "0", names.LABEL_GENERATION: "7"}
    body["spec"]["template"]["metadata"] = {"labels": labels}
    yield me.author.post(me.place.jobs, body)
    account = names.service_account_name(me.victim)
    patch = {"spec": {"template": {"spec": {"serviceAccountName": account}}}}
    yield me.author.patch(f"{me.place.jobs}/forged", patch)
    me.stop.wait(me.pause_s)
    yield me.author.delete(f"{me.place.jobs}/forged")


@attack("jobs: deleted and created", BY_AUTHOR)
def recreate_job(me: Neighbour) -> Iterator[Reply]:
    for name in (TOY, me.draw.choice((TOY, TOY, EVIL))):
        policy = me.draw.choice(("Background", "Foreground", "Orphan"))
        path = f"{me.place.jobs}/{name}"
        yield me.author.delete(path, propagationPolicy=policy, gracePeriodSeconds=0)
        yield me.author.post(me.place.jobs, evil_job(me.place, name))


@attack("jobs: scaled, suspended, restarted, changed", BY_AUTHOR)
def change_job(me: Neighbour) -> Iterator[Reply]:
    path = f"{me.place.jobs}/{TOY}"
    me.author.post(me.place.jobs, evil_job(me.place, TOY))
    for each in range(10):
        restart = {names.ANNOTATION_RESTART: f"{values.CONTROLS}{each}"}
        yield me.author.patch(path, {"spec": {"replicas": me.draw.randint(1, 4)}})
        yield me.author.patch(path, {"spec": {"suspend": bool(each % 2)}})
        yield me.author.patch(path, {"metadata": {"annotations": restart}})
        labels = {"metadata": {"labels": {"evil": str(each)}}}
        yield me.author.patch(path, {"spec": {"template": labels}})
    yield me.author.patch(path, {"spec": {"suspend": False, "replicas": 2}})


@attack("jobs: finalizers, owners and large metadata", BY_AUTHOR)
def load_job(me: Neighbour) -> Iterator[Reply]:
    path = f"{me.place.jobs}/{TOY}"
    me.author.post(me.place.jobs, evil_job(me.place, TOY))
    notes = {"evil.example.com/note": "x" * values.LARGE, "evil.example.com/text": values.CONTROLS}
    yield me.author.patch(path, {"metadata": {"annotations": notes}})
    yield me.author.patch(path, {"metadata": {"finalizers": ["evil.example.com/stays"]}})
    yield me.author.delete(path)
    yield me.author.patch(path, {"metadata": {"finalizers": None}})


@attack("Round: a finalizer while its job is deleted", BY_AUTHOR, refused=True)
def block_deletion(me: Neighbour) -> Iterator[Reply]:
    path = f"{me.place.leases}/{names.round_lease_name(TOY)}"
    reply = me.author.patch(path, {"metadata": {"finalizers": ["evil.example.com/stays"]}})
    yield reply
    if reply.code == 200:
        me.author.delete(f"{me.place.jobs}/{TOY}")
        me.author.post(me.place.jobs, evil_job(me.place, TOY))
        me.stop.wait(2 * me.pause_s)
        me.author.patch(path, {"metadata": {"finalizers": None}})


@attack("ConfigMaps: the agent's, deleted and replaced", BY_AUTHOR)
def replace_agent(me: Neighbour) -> Iterator[Reply]:
    path = me.place.path("configmaps")
    found = [m for m in me.author.get(path).body["items"] if is_agent(m)]
    for each in found:
        yield me.author.delete(f"{path}/{each['metadata']['name']}")
        meta = {key: each["metadata"].get(key) for key in ("name", "labels")}
        content = {"binaryData": {"agent.pyz": "ZXZpbA=="}, "immutable": me.draw.random() < 0.5}
        yield me.author.post(path, {**config_map(""), "metadata": meta, **content})
        yield me.author.delete(f"{path}/{each['metadata']['name']}")


@attack("ConfigMaps: many that look like agents", BY_AUTHOR)
def add_config_maps(me: Neighbour) -> Iterator[Reply]:
    path = me.place.path("configmaps")
    labels = {
        "app.kubernetes.io/name": "elasticjob-agent",
        "app.kubernetes.io/managed-by": "elasticjob",
    }
    for each in range(5):
        name = f"elasticjob-agent-{each:010}"
        meta = {"name": name, "labels": labels}
        yield me.author.post(
            path, {**config_map(name), "metadata": meta, "data": {"x": "x" * 900_000}}
        )
        yield me.author.delete(f"{path}/{name}")


@attack("statuses", BY_AUTHOR, refused=True, needs_policy=True)
def write_status(me: Neighbour) -> Iterator[Reply]:
    yield me.author.patch(f"{me.place.jobs}/{me.victim}/status", {"status": {"restarts": 7}})


@attack("vandals", BY_AUTHOR)
def revive_vandal(me: Neighbour) -> Iterator[Reply]:
    """Create the job of the vandal again if it has ended, or restarts after long delays only."""
    path = f"{me.place.jobs}/{VANDAL}"
    found = me.author.get(path)
    status = found.body.get("status", {}) if found.code == 200 else {"completionTime": "none"}
    if not status.get("completionTime") and status.get("counted", 0) < FAILURES:
        return
    if found.code == 200:
        yield me.author.delete(path)
    yield me.author.post(me.place.jobs, vandal_job(me.place, me.draw.randint(0, 10**9)))


def is_agent(config: Json) -> bool:
    """Whether a ConfigMap has the name of an agent's."""
    return bool(config["metadata"]["name"].startswith("elasticjob-agent-"))


def vandal_job(place: Place, seed: int) -> Json:
    """A job whose worker damages the files of its agent."""
    command = ["python3", "-u", "-S", "-c", VANDAL_SCRIPT, str(seed), "/dev/termination-log"]
    return place.body(VANDAL, command, replicas=2, minReplicas=1, maxRestarts=20)
