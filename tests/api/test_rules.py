"""Every rule on the same objects twice: in CEL, as the API server runs it, and in Python."""

from __future__ import annotations

from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.commands import LAUNCHERS, OTHERS
from tests.support.jobs import elastic_job, worker

from elasticjob.api.rules import (
    RULES,
    ValidationRule,
    violations,
    violations_of_stored,
    worker_container,
)
from elasticjob.wire.codec import Json

SIDECAR = {"name": "sidecar", "image": "logger"}
PROGRAMS = {rule.name: cel.compile(rule.cel) for rule in RULES}


def containers(*given: Json) -> Json:
    return {"containers": list(given)}


def env(*names: str) -> Json:
    return worker(env=[{"name": name, "value": "1"} for name in names])


def running(*words: str, **fields: Any) -> Json:
    return elastic_job(pod=containers(worker(command=list(words), **fields)))


def mount(path: str) -> Json:
    return worker(volumeMounts=[{"name": "data", "mountPath": path}])


def marked(**meta: Any) -> Json:
    return elastic_job(template={"metadata": meta, "spec": containers(worker())})


ELSEWHERE = containers(worker(), {**SIDECAR, "env": [{"name": "RANK"}]})
CASES: list[tuple[str, Json, list[str]]] = [
    ("the small one", elastic_job(), []),
    ("45 characters", elastic_job("a" * 45), []),
    ("46 characters", elastic_job("a" * 46), ["name length"]),
    ("digits inside", elastic_job("a-1"), []),
    ("digit first", elastic_job("1a"), ["name shape"]),
    ("a dot", elastic_job("a.b"), ["name shape"]),
    ("hyphen last", elastic_job("a-"), ["name shape"]),
    ("min is replicas", elastic_job(minReplicas=4), []),
    ("min above replicas", elastic_job(minReplicas=5), ["min replicas"]),
    ("max is replicas", elastic_job(maxReplicas=4), []),
    ("max below replicas", elastic_job(maxReplicas=3), ["max replicas"]),
    ("around replicas", elastic_job(minReplicas=1, maxReplicas=8), []),
    ("min above max", elastic_job(minReplicas=5, maxReplicas=3), ["min replicas", "max replicas"]),
    ("the only container, named", elastic_job(containerName="worker"), []),
    ("no such container", elastic_job(containerName="trainer"), ["known container"]),
    ("the only one has any name", elastic_job(pod=containers(worker("train"))), []),
    ("worker among several", elastic_job(pod=containers(SIDECAR, worker())), []),
    ("several", elastic_job(pod=containers(SIDECAR, worker("x"))), ["one worker container"]),
    ("named", elastic_job(pod=containers(SIDECAR, worker("x")), containerName="x"), []),
    ("no command", elastic_job(pod=containers({"name": "w", "args": ["a"]})), ["command"]),
    ("empty command", elastic_job(pod=containers(worker(command=[]))), ["command"]),
    ("the named one has none", elastic_job(pod=ELSEWHERE, containerName="sidecar"),
     ["command", "worker environment"]),
    ("split", running("python", "-m", args=["torch.distributed.run", "train.py"]), ["launcher"]),
    ("split before -m", running("python", args=["-m", "torch.distributed.run"]), ["launcher"]),
    ("in the named one", elastic_job(
        pod=containers(worker(), worker("x", command=["torchrun"])), containerName="x"),
     ["launcher"]),
    ("in a sidecar", elastic_job(pod=containers(worker(), worker("x", command=["torchrun"]))), []),
    ("no command but args", elastic_job(pod=containers({"name": "w", "args": ["torchrun"]})),
     ["command"]),
    *((" ".join(words), running(*words), ["launcher"]) for words in LAUNCHERS),
    *((" ".join(words), running(*words), []) for words in OTHERS),
    ("user's own variables", elastic_job(pod=containers(env("LR", "OMP_NUM_THREADS"))), []),
    ("RANK", elastic_job(pod=containers(env("A", "RANK"))), ["worker environment"]),
    ("torch's timers", elastic_job(pod=containers(env(
        "TORCHELASTIC_ENABLE_FILE_TIMER", "TORCHELASTIC_TIMER_FILE"))), []),
    ("ours", elastic_job(pod=containers(env("ELASTICJOB_X"))), ["worker environment"]),
    ("RANK in a sidecar", elastic_job(pod=ELSEWHERE), []),
    ("own directory", elastic_job(pod=containers(mount("/opt/elasticjobs"))), []),
    ("agent's directory", elastic_job(pod=containers(mount("/opt/elasticjob"))), ["worker mounts"]),
    ("with a slash", elastic_job(pod=containers(mount("/opt/elasticjob/"))), ["worker mounts"]),
    ("below it", elastic_job(pod=containers(mount("/var/run/elasticjob/x"))), ["worker mounts"]),
    ("token", elastic_job(pod=containers(mount("/var/run/secrets/elasticjob"))), ["worker mounts"]),
    ("service account's", elastic_job(pod=containers(mount("/var/run/secrets/k8s"))), []),
    ("a volume", elastic_job(pod={**containers(worker()), "volumes": [{"name": "data"}]}), []),
    ("our volume", elastic_job(pod={**containers(worker()), "volumes": [{"name": "elasticjob-x"}]}),
     ["volume names"]),
    ("Never", elastic_job(pod={**containers(worker()), "restartPolicy": "Never"}), []),
    ("OnFailure", elastic_job(pod={**containers(worker()), "restartPolicy": "OnFailure"}),
     ["restart policy"]),
    ("labels", marked(labels={"team": "a"}, annotations={"note": "x"}), []),
    ("our label", marked(labels={"elasticjob.dev/job": "x"}), ["template labels"]),
    ("our annotation", marked(annotations={"elasticjob.dev/restart": "x"}), ["template labels"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("job", "violated"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_cel_and_python_find_the_same_violations(job: Json, violated: list[str]) -> None:
    assert [rule.name for rule in RULES if not rule.holds(rule.scoped(job))] == violated
    assert [rule.name for rule in RULES if not in_cel(rule.name, rule.scoped(job))] == violated


def test_every_rule_is_violated_by_a_case() -> None:
    assert {name for *_, broken in CASES for name in broken} == {rule.name for rule in RULES}


WORDS = st.sampled_from(["a", "worker", "sidecar"])
PATHS = st.sampled_from(["/opt/elasticjob", "/opt/elasticjobs", "/opt", "/var/run/elasticjob/x"])
VARIABLES = st.sampled_from(["LR", "RANK", "RANKS", "MASTER_PORT", "ELASTICJOB_", "ELASTICJOB"])
COMMAND_WORDS = st.sampled_from(
    [
        "x", "/x/python3.9", "python", "-u", "-X", "-m", "-um", "--m", "torch.distributed.run",
        "torchrun", "/x/torchrun", "xtorchrun", "accelerate", "launch", "accelerate-launch",
        "deepspeed", "",
    ]
)  # fmt: skip
CONTAINERS = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        "command": st.lists(COMMAND_WORDS, max_size=4),
        "args": st.lists(COMMAND_WORDS, max_size=6),
        "env": st.lists(st.fixed_dictionaries({"name": VARIABLES}), max_size=2),
        "volumeMounts": st.lists(st.fixed_dictionaries({"mountPath": PATHS}), max_size=2),
    },
)
MARKS = st.dictionaries(st.sampled_from(["x", "elasticjob.dev/x"]), st.just("y"), max_size=2)
SPECS = st.fixed_dictionaries(
    {
        "replicas": st.integers(1, 3),
        "template": st.fixed_dictionaries(
            {
                "spec": st.fixed_dictionaries(
                    {
                        "containers": st.lists(
                            CONTAINERS, min_size=1, max_size=3, unique_by=lambda c: c["name"]
                        )
                    },
                    optional={
                        "volumes": st.lists(
                            st.fixed_dictionaries(
                                {"name": st.sampled_from(["x", "elasticjob-", "elasticjob"])}
                            ),
                            max_size=2,
                        ),
                        "restartPolicy": st.sampled_from(["Never", "Always"]),
                    },
                )
            },
            optional={
                "metadata": st.fixed_dictionaries(
                    {}, optional={"labels": MARKS, "annotations": MARKS}
                )
            },
        ),
    },
    optional={
        "minReplicas": st.integers(1, 3),
        "maxReplicas": st.integers(1, 3),
        "containerName": WORDS,
    },
)


@settings(deadline=None)
@given(SPECS)
def test_cel_and_python_agree_on_any_spec(spec: Json) -> None:
    for rule in RULES:
        if rule.scope == "spec":
            assert rule.holds(spec) == in_cel(rule.name, spec), rule.name


@settings(deadline=None)
@given(st.text(alphabet="aB0-.", max_size=50))
def test_cel_and_python_agree_on_any_name(name: str) -> None:
    job = {"metadata": {"name": name}}
    for rule in RULES:
        if rule.scope == "":
            assert rule.holds(job) == in_cel(rule.name, job), rule.name


@settings(deadline=None)
@given(SPECS, SPECS)
def test_cel_and_python_agree_on_whether_a_change_is_relevant(old: Json, new: Json) -> None:
    for rule in RULES:
        if rule.unchanged_cel:
            assert rule.is_unchanged(old, new) == is_unchanged_in_cel(rule, old, new), rule.name
            assert is_unchanged_in_cel(rule, old, old), rule.name


def test_a_violation_names_the_field_and_the_cure() -> None:
    assert violations(elastic_job(minReplicas=5), None) == [
        ("spec.minReplicas", "must be at most replicas: lower minReplicas or raise replicas")
    ]


def test_messages_are_one_line_each() -> None:
    for rule in RULES:
        assert "\n" not in rule.message
        assert len(rule.message) <= 160


def test_an_unchanged_field_is_not_validated_again() -> None:
    old = elastic_job(minReplicas=5)
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert violations(labelled, old) == []
    assert violations(elastic_job(minReplicas=6), old) != []


TORCHRUN = worker(command=["torchrun", "train.py"])
STORED = elastic_job(pod=containers(TORCHRUN))


@pytest.mark.parametrize(
    ("new", "refused"),
    [
        (elastic_job(pod=containers(TORCHRUN), replicas=5), False),
        (elastic_job(pod=containers(TORCHRUN), suspend=True, nprocPerNode=2), False),
        (elastic_job(pod=containers({**TORCHRUN, "image": "newer"})), True),
        (elastic_job(pod=containers(TORCHRUN), containerName="worker"), True),
        (elastic_job(pod=containers(worker())), False),
        (elastic_job(pod=containers(worker(command=["torchrun", "other.py"]))), True),
        (elastic_job(pod=containers(TORCHRUN, worker("x", command=["torchrun"])),
                     containerName="x"), True),
    ],
)  # fmt: skip
def test_a_launcher_is_refused_when_the_template_changes(new: Json, refused: bool) -> None:
    assert bool(violations(new, STORED)) == refused


def test_a_launcher_is_refused_at_creation_but_not_in_a_stored_job() -> None:
    assert [path for path, _ in violations(STORED, None)] == ["spec.template.spec.containers"]
    assert violations_of_stored(STORED) == []
    broken = elastic_job(pod=containers(TORCHRUN), minReplicas=5)
    assert [path for path, _ in violations_of_stored(broken)] == ["spec.minReplicas"]


@pytest.mark.parametrize(
    ("names", "given", "found"),
    [
        (["a"], None, "a"),
        (["a", "worker"], None, "worker"),
        (["a", "b"], None, None),
        (["a", "b"], "b", "b"),
        (["a", "worker"], "c", None),
    ],
)
def test_worker_container(names: list[str], given: str | None, found: str | None) -> None:
    spec = elastic_job(pod=containers(*map(worker, names)))["spec"]
    assert worker_container({**spec, **({"containerName": given} if given else {})}) == found


def in_cel(name: str, scoped: Json) -> bool:
    return bool(PROGRAMS[name].execute({"self": scoped}))


def is_unchanged_in_cel(rule: ValidationRule, old: Json, new: Json) -> bool:
    """Evaluate with `old` for oldSelf, an optional value that this library cannot receive."""
    program = cel.compile(rule.unchanged_cel.replace("oldSelf", "optional.of(old)"))
    return bool(program.execute({"self": new, "old": old}))
