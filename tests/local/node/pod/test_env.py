from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.node.pod.env import arguments, environment, expand, field
from elasticjob.local.node.pod.unsupported import UnsupportedError

POD: dict[str, Any] = {
    "metadata": {
        "name": "job-0-0",
        "namespace": "team",
        "uid": "u-1",
        "labels": {"example.com/index": "0"},
        "annotations": {"note": "a b"},
    },
    "spec": {"nodeName": "local", "serviceAccountName": "elasticjob-job"},
    "status": {
        "podIP": "127.20.1.1",
        "podIPs": [{"ip": "127.20.1.1"}],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}, {"ip": "::1"}],
    },
}


def env_of(*entries: dict[str, Any], base: dict[str, str] | None = None) -> dict[str, str]:
    return environment(POD, {"name": "worker", "env": list(entries)}, base or {})


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("$(A)$(B)", "12"),
        ("x$(A)y", "x1y"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("cost: 5$", "cost: 5$"),
        ("$(A", "$(A"),
        ("$()", "$()"),
        ("$(dotted.name-1)", "d"),
        ("$(C)", "$(A)"),  # a value is not expanded a second time
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    known = {"A": "1", "B": "2", "C": "$(A)", "dotted.name-1": "d"}
    assert expand(text, known) == expanded


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "job-0-0"),
        ("metadata.namespace", "team"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['example.com/index']", "0"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['note']", "a b"),
        ("spec.nodeName", "local"),
        ("spec.serviceAccountName", "elasticjob-job"),
        ("status.podIP", "127.20.1.1"),
        ("status.podIPs", "127.20.1.1"),
        ("status.hostIP", "127.0.0.1"),
        ("status.hostIPs", "127.0.0.1,::1"),
        ("status.phase", None),
        ("metadata.labels", None),
    ],
)
def test_fields(path: str, value: str | None) -> None:
    assert field(POD, path) == value


def test_a_pod_without_a_service_account_has_the_default_one() -> None:
    assert field({"metadata": {}, "spec": {}}, "spec.serviceAccountName") == "default"


def test_a_value_refers_to_variables_before_it() -> None:
    found = env_of(
        {"name": "LATE", "value": "$(B)"},
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(KUBERNETES_SERVICE_PORT)"},
        base={"KUBERNETES_SERVICE_PORT": "6443"},
    )
    assert found == {"KUBERNETES_SERVICE_PORT": "6443", "LATE": "$(B)", "A": "1", "B": "1-6443"}


def test_a_pod_may_override_and_extend_variables_of_the_kubelet() -> None:
    assert env_of({"name": "PATH", "value": "/opt/bin:$(PATH)"}, base={"PATH": "/usr/bin"}) == {
        "PATH": "/opt/bin:/usr/bin"
    }


def test_a_variable_without_value_is_empty() -> None:
    assert env_of({"name": "A"}) == {"A": ""}


def test_a_field_reference() -> None:
    reference = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    assert env_of(reference) == {"IP": "127.20.1.1"}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "env A: secretKeyRef is not supported"),
        ({"fieldRef": {"fieldPath": "status.phase"}}, "'status.phase' is not supported"),
    ],
)
def test_an_unsupported_source_is_named(source: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsupportedError, match=named):
        env_of({"name": "A", "valueFrom": source})


def test_arguments_follow_the_command_and_are_expanded() -> None:
    container = {"name": "worker", "command": ["python", "$(SCRIPT)"], "args": ["--n", "$(N)"]}
    assert arguments(container, {"SCRIPT": "t.py", "N": "4"}) == ["python", "t.py", "--n", "4"]


def test_a_container_without_command_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r'container "worker": command is required'):
        arguments({"name": "worker", "image": "busybox", "args": ["x"]}, {})
