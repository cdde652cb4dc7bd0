"""kubectl, unmodified, as users run it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support import programs
from tests.support.jobs import elastic_job
from tests.support.scalars import ARRIVES, NO_JSON, REFUSED, job_yaml
from tests.support.widgets import jobs_path, widget_object

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe import parse
from elasticjob.controller.report import journal as journals
from elasticjob.controller.report.journal import Journal, Note

KUBECTL = programs.kubectl()
DEADLINE_S = 60

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not KUBECTL, reason="no kubectl: run make programs, install it, or set KUBECTL"
    ),
]


@pytest.fixture
def kubectl(api: Client, kubeconfig: Path, namespace: str, tmp_path: Path) -> Callable[..., str]:
    """A function that runs kubectl and returns its output, or with `fail` its error."""

    def run(*words: str, stdin: str = "", fail: bool = False) -> str:
        done = subprocess.run(
            [*KUBECTL, "-n", namespace, *words],
            input=stdin,
            env={"KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert (done.returncode != 0) == fail, done.stderr
        return done.stderr if fail else done.stdout

    return run


def manifest(name: str = "w", **spec: Any) -> str:
    return yaml.safe_dump(widget_object(name, **spec))


def test_apply_creates_configures_and_leaves_unchanged(kubectl: Callable[..., str]) -> None:
    words = [
        kubectl("apply", "-f", "-", stdin=manifest(replicas=count)).split()[-1]
        for count in (3, 4, 4)
    ]
    assert words == ["created", "configured", "unchanged"]
    assert kubectl("get", "widget", "w", "-o", "jsonpath={.spec.replicas}") == "4"


def test_apply_of_built_ins_merges_by_key(kubectl: Callable[..., str]) -> None:
    def pod(image: str) -> str:
        containers = [
            {"name": "a", "image": "1", "command": ["true"]},
            {"name": "b", "image": image, "command": ["true"]},
        ]
        head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
        return yaml.safe_dump({**head, "spec": {"containers": containers}})

    assert kubectl("apply", "-f", "-", stdin=pod("1")).endswith("created\n")
    assert kubectl("apply", "-f", "-", stdin=pod("2")).endswith("configured\n")
    images = kubectl("get", "pod", "p", "-o", "jsonpath={.spec.containers[*].image}")
    assert images == "1 2"


def test_apply_names_unknown_fields_and_faults(kubectl: Callable[..., str]) -> None:
    error = kubectl("apply", "-f", "-", stdin=manifest(junk=1), fail=True)
    assert 'unknown field "spec.junk"' in error
    error = kubectl("apply", "-f", "-", stdin=manifest(replicas=-1, policy="x"), fail=True)
    assert "* spec.replicas: Invalid value: -1: spec.replicas in body should be" in error
    assert '* spec.policy: Unsupported value: "x"' in error


def test_get_prints_the_columns(kubectl: Callable[..., str]) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(replicas=3))
    head, row = kubectl("get", "wi").splitlines()
    assert head.split() == ["NAME", "WANT", "PHASE", "AGE"]
    assert row.split()[:2] == ["w", "3"]
    assert "DONE" in kubectl("get", "widgets", "-o", "wide").splitlines()[0]
    assert kubectl("get", "widget", "absent", fail=True).startswith("Error from server (NotFound)")


def test_get_watch(
    kubectl: Callable[..., str], api: Client, widgets: str, kubeconfig: Path, namespace: str
) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(replicas=1))
    process = subprocess.Popen(
        [*KUBECTL, "--kubeconfig", str(kubeconfig), "-n", namespace, "get", "wi", "-w"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        rows = [process.stdout.readline().split() for _ in range(2)]
        api.patch(f"{widgets}/w", {"spec": {"replicas": 8}})
        rows.append(process.stdout.readline().split())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert [row[1] for row in rows] == ["WANT", "1", "8"]


def test_wait_for_conditions_and_deletion(
    kubectl: Callable[..., str], api: Client, widgets: str
) -> None:
    kubectl("apply", "-f", "-", stdin=manifest())
    conditions = [{"type": "Complete", "status": "True"}]
    api.patch(f"{widgets}/w/status", {"status": {"conditions": conditions, "phase": "Up"}})
    assert "condition met" in kubectl("wait", "--for=condition=Complete", "wi/w", "--timeout=20s")
    assert "condition met" in kubectl("wait", "--for=jsonpath={.status.phase}=Up", "wi/w")
    assert '"w" deleted' in kubectl("delete", "widget", "w")
    kubectl("wait", "--for=delete", "wi/w", "--timeout=20s")
    kubectl("get", "wi", "w", fail=True)


def test_scale(kubectl: Callable[..., str]) -> None:
    kubectl("apply", "-f", "-", stdin=manifest(replicas=2))
    kubectl("scale", "widget/w", "--replicas=5")
    kubectl("scale", "widget/w", "--current-replicas=5", "--replicas=6")
    assert kubectl("get", "wi", "w", "-o", "jsonpath={.spec.replicas}") == "6"
    assert "less than or equal to 10" in kubectl("scale", "wi/w", "--replicas=11", fail=True)


def test_patch_label_annotate_replace_and_diff(kubectl: Callable[..., str]) -> None:
    kubectl("apply", "-f", "-", stdin=manifest())
    kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest(replicas=1))
    assert kubectl("get", "wi", "w", "-o", "jsonpath={.spec.replicas}") == "2"
    kubectl("patch", "wi", "w", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    operations = '[{"op":"replace","path":"/spec/replicas","value":4}]'
    kubectl("patch", "wi", "w", "--type=json", "-p", operations)
    kubectl(
        "patch", "wi", "w", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"P"}}'
    )
    kubectl("label", "wi", "w", "a=b")
    kubectl("annotate", "wi", "w", "c=d")
    found = yaml.safe_load(kubectl("get", "wi", "w", "-o", "yaml"))
    assert (found["spec"]["replicas"], found["status"]["phase"]) == (4, "P")
    assert found["metadata"]["labels"] == {"a": "b"}
    found["spec"]["replicas"] = 9
    assert kubectl("replace", "-f", "-", stdin=yaml.safe_dump(found)).endswith("replaced\n")
    assert kubectl("get", "wi", "-l", "a in (b,c)", "-o", "name").split() == [
        "widget.contract.example/w"
    ]


def test_describe_explain_and_resources(kubectl: Callable[..., str], namespace: str) -> None:
    kubectl("apply", "-f", "-", stdin=manifest())
    assert "Replicas:  2" in kubectl("describe", "widget", "w")
    assert "FIELD: replicas <integer>" in kubectl("explain", "widget.spec.replicas")
    assert "widgets" in kubectl("api-resources", "--api-group=contract.example")
    assert "v1." in kubectl("version")
    assert namespace in kubectl("get", "namespaces")


SOURCE = "elasticjob-controller"


class Described:
    """A widget, the events that an operator writes about it, and what kubectl describe shows."""

    def __init__(self, kubectl: Callable[..., str], api: Client, widgets: str, events: str) -> None:
        kubectl("apply", "-f", "-", stdin=manifest())
        self.kubectl, self.api, self.events = kubectl, api, events
        about = api.get(f"{widgets}/w").body
        self.job = parse.job({**elastic_job("w"), "metadata": about["metadata"]})
        self.journal = Journal(self.job.uid, ElasticJobStatus())
        self.begun = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60)

    def write(self, note: Note, minute: int = 0, round_: int = 0) -> None:
        at = self.begun + timedelta(minutes=minute)
        journal = replace(self.journal, reported=ElasticJobStatus(round=round_))
        self.journal, entries = journals.entries(journal, self.job, [note], 60.0 * minute)
        for entry in entries:
            made = journals.manifest(self.job, entry, at)
            made["involvedObject"] |= {"apiVersion": "contract.example/v1", "kind": "Widget"}
            if self.api.post(self.events, made).code == 409:
                found = self.api.get(f"{self.events}/{entry.name}").body
                patch = journals.repeat(found, entry, at)
                self.api.patch(f"{self.events}/{entry.name}", patch)

    def lines(self) -> list[str]:
        shown = self.kubectl("describe", "widget", "w").partition("Events:")[2].splitlines()[3:]
        return [" ".join(line.split()) for line in shown]

    def messages(self) -> list[str]:
        return [line.partition(f"{SOURCE} ")[2] for line in self.lines()]

    def messages_by_name(self) -> list[str]:
        shown = self.kubectl(
            "get", "events", "--sort-by=.metadata.name", "--field-selector=involvedObject.name=w",
            "-o=jsonpath={range .items[*]}{.message}{'\\n'}{end}",
        )  # fmt: skip
        return shown.splitlines()


@pytest.fixture
def described(kubectl: Callable[..., str], api: Client, widgets: str, namespace: str) -> Described:
    return Described(kubectl, api, widgets, f"/api/v1/namespaces/{namespace}/events")


def test_describe_shows_each_event_of_the_operator_and_repeated_ones_with_their_count(
    described: Described,
) -> None:
    """In the order of their last occurrence: 16 restarts, a condition that was true three times."""
    for n in range(16):
        described.write(Note("WorkersFailed", f"round {n}", True, round=n), 2 * n)
    for minute in (1, 9, 21):
        described.write(Note("Unstable", "again"), minute)
    described.write(Note("WorkersFailed", "round 3 runs", True, round=3), 50)
    lines = described.lines()
    assert described.messages() == [
        *("round 3 runs" if n == 3 else f"round {n}" for n in range(11)),
        "again",
        *(f"round {n}" for n in range(11, 16)),
    ]
    assert lines[11].startswith("Normal Unstable ")
    assert "(x3 over " in lines[11]
    assert not any("(x" in line for line in [*lines[:11], *lines[12:]])


def test_events_sorted_by_name_are_in_the_order_of_rounds(described: Described) -> None:
    """As `kubectl describe` sorts by the second, and a long list in no other order."""
    expected = []
    for n in range(1, 6):
        for reason in ("Running", "PodsDeleted", "PodsReplaced"):
            described.write(Note(reason, f"{reason} in round {n}"), round_=n)
            expected.append(f"{reason} in round {n}")
        described.write(Note("WorkersFailed", f"round {n} ended", True, round=n), round_=n + 1)
        expected.append(f"round {n} ended")
    assert described.messages_by_name() == expected


def test_delete_by_label_and_cascade(kubectl: Callable[..., str], api: Client, leases: str) -> None:
    for name in "ab":
        api.post(leases, {"metadata": {"name": name, "labels": {"x": "y"}}})
    kubectl("delete", "lease", "-l", "x=y", "--cascade=foreground")
    wait_until(lambda: api.get(leases).names == [])


def test_the_local_server_refuses_in_one_line(
    kubectl: Callable[..., str], local: Any, api: Client, pods: str
) -> None:
    containers = [{"name": "w", "image": "i"}]
    api.post(pods, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
    error = kubectl("apply", "--server-side", "-f", "-", stdin=manifest(), fail=True)
    assert "Server-side apply not available on the server" in error
    kubectl("logs", "p", fail=True)
    kubectl("create", "configmap", "c", fail=True)


CONTAINER = "spec.template.spec.containers[0]"


def test_scalars_without_quotes_that_are_texts_arrive_as_they_are(
    kubectl: Callable[..., str], api: Client, namespace: str
) -> None:
    texts = "---\n".join(job_yaml(f"j{number}", text, text) for number, text in enumerate(ARRIVES))
    kubectl("create", "-f", "-", stdin=texts)
    for number, expected in enumerate(ARRIVES.values()):
        body = api.get(f"{jobs_path(namespace)}/j{number}").body
        (container,) = body["spec"]["template"]["spec"]["containers"]
        assert container["args"] == [expected]
        assert container["env"][0]["value"] == expected


def test_scalars_without_quotes_that_are_no_texts_are_refused_by_field(
    kubectl: Callable[..., str],
) -> None:
    for text, kind in REFUSED.items():
        error = kubectl("create", "-f", "-", stdin=job_yaml("j", text, text), fail=True)
        for field in ("args[0]", "env[0].value"):
            assert f'{CONTAINER}.{field}: Invalid value: "{kind}": ' in error, text
            assert f'{CONTAINER}.{field} in body must be of type string: "{kind}"' in error, text


def test_numbers_that_are_none_in_json_are_refused(kubectl: Callable[..., str]) -> None:
    for text in NO_JSON:
        assert "unsupported value" in kubectl(
            "create", "-f", "-", stdin=job_yaml("j", text), fail=True
        )


def test_a_null_is_refused_in_a_list_and_left_out_in_an_object(
    kubectl: Callable[..., str], api: Client, namespace: str
) -> None:
    error = kubectl("create", "-f", "-", stdin=job_yaml("j", "~"), fail=True)
    assert f'{CONTAINER}.args[0] in body must be of type string: "null"' in error
    kubectl("create", "-f", "-", stdin=job_yaml("j", value="~"))
    body = api.get(f"{jobs_path(namespace)}/j").body
    (container,) = body["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A"}]


def test_of_a_field_that_is_given_twice_the_last_one_counts(
    kubectl: Callable[..., str], api: Client, namespace: str
) -> None:
    text = job_yaml("j", more="  replicas: 2\n  replicas: 3\n")
    kubectl("create", "-f", "-", stdin=text)
    assert api.get(f"{jobs_path(namespace)}/j").body["spec"]["replicas"] == 3


@pytest.mark.parametrize("text", ["\ufeff" + job_yaml("j"), job_yaml("j").replace("\n", "\r\n")])
def test_a_file_with_a_byte_order_mark_or_with_the_line_ends_of_windows(
    kubectl: Callable[..., str], text: str
) -> None:
    assert "created" in kubectl("create", "-f", "-", stdin=text)


def test_a_tab_that_indents_is_refused(kubectl: Callable[..., str]) -> None:
    error = kubectl("create", "-f", "-", stdin=job_yaml("j", more="\treplicas: 2\n"), fail=True)
    assert "line 17: found a tab character that violates indentation" in error
