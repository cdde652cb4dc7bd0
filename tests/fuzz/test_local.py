"""Requests to the local API server, damaged in a few places: each ends in an answer."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import elastic_job
from tests.support.mutations import damaged_json, damaged_text, texts
from tests.support.protocol import agent_object, round_object

from elasticjob.local.api.call import BODY_TYPES, Call, target_of
from elasticjob.local.api.kinds import jobs
from elasticjob.local.api.objects.builtins import NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.server import new_store, preload
from elasticjob.local.api.verbs import Verbs
from elasticjob.local.api.watch import Watches
from elasticjob.local.manifests import ManifestError, parse
from elasticjob.local.yaml_documents import YamlError, load

MERGE, PATCH, STRATEGIC = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
)
LEASE = "/apis/coordination.k8s.io/v1/namespaces/team/leases"
JOB = "/apis/elasticjob.dev/v1alpha1/namespaces/team/elasticjobs"
PATHS = [
    LEASE, f"{LEASE}/demo-0-0", JOB, f"{JOB}/demo", f"{JOB}/demo/status", f"{JOB}/demo/scale",
    "/api/v1/namespaces/team/pods", "/api/v1/namespaces/team/pods/demo-0-0/log",
    "/api/v1/namespaces/team/events", "/api/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1",
]  # fmt: skip
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "demo-0-0", "labels": {"a": "b"}},
    "spec": {"containers": [{"name": "worker", "image": "i", "command": ["true"]}]},
}
EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Pod", "name": "x", "namespace": "team"},
    "reason": "R",
    "count": 1,
    "firstTimestamp": "2026-01-01T00:00:00Z",
}
BODIES: list[Any] = [
    elastic_job("demo"), agent_object(8), round_object(3), POD, EVENT,
    {"metadata": {"annotations": {"a": None}}, "spec": {"replicas": 2}},
    [{"op": "replace", "path": "/metadata/labels/a", "value": "x"}, {"op": "remove", "path": "/a"}],
    {"propagationPolicy": "Foreground", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}},
]  # fmt: skip
QUERY = st.dictionaries(
    st.sampled_from(
        ["dryRun", "fieldValidation", "labelSelector", "fieldSelector", "limit", "continue",
         "resourceVersion", "gracePeriodSeconds", "propagationPolicy", "tailLines", "pretty"]
    ),
    texts | st.sampled_from(["All", "Strict", "a=b", "metadata.name=demo", "1", "a in (b)"]),
    max_size=2,
)  # fmt: skip


def verbs() -> Verbs:
    store = new_store("ca", jobs.admission())
    preload(store, jobs.definitions())
    store.create(NAMESPACES, "", {"metadata": {"name": "team"}})
    return Verbs(store, Watches(store))


SERVED = verbs()


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    damaged_text(PATHS, most=1),
    QUERY,
    st.sampled_from([*BODY_TYPES, MERGE, PATCH, STRATEGIC, "application/apply-patch+yaml", "x/y"]),
    damaged_json(BODIES),
)
def test_a_request(method: str, path: str, query: dict[str, str], kind: str, text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    call = Call(method, path, query, content_type=kind, body=body)
    with contextlib.suppress(ApiError):
        target = target_of(call)
        if target is not None:
            SERVED.perform(call, target)


YAMLS = [
    json.dumps(elastic_job("demo")),
    "a: &a [x, *b]\n---\nb: {<<: *a, c: !!int 3}\n",
    "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  apiVersion: v1\n  metadata: {name: x}\n",
]
signs = texts | st.sampled_from(
    ["&a ", "*a", "<<: *a", "!!", "!!int ", "!!timestamp ", "!!set ", "- ", "? ", ": ", "{", "[",
     "|\n", "---\n", "...\n", "%YAML 9.9\n", "'", '"', "\t", "\\x", "\\ud800", "1:1:1:1", ".inf",
     "0b", "2026-13-45"]
)  # fmt: skip


@given(damaged_text(YAMLS, junk=signs))
def test_yaml(text: str) -> None:
    with contextlib.suppress(YamlError):
        json.dumps(load(text), allow_nan=False, ensure_ascii=False).encode()
    with contextlib.suppress(ManifestError):
        parse(text, "it")
