"""Versions and conflicts, on which compare-and-swap relies."""

from __future__ import annotations

from typing import Any

import pytest
from dev.kube_client import JSON_PATCH, STRATEGIC, Client

NAME = {"apiVersion": "v1", "fieldPath": "metadata.name"}

pytestmark = pytest.mark.slow


def lease(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def test_a_created_object_is_returned_with_the_fields_of_the_server(
    api: Client, leases: str
) -> None:
    reply = api.post(leases, lease("a", holderIdentity="me"))
    assert reply.code == 201
    meta = reply.body["metadata"]
    assert (reply.body["kind"], reply.body["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["resourceVersion"].isdecimal()
    assert reply.body["spec"] == {"holderIdentity": "me"}
    assert api.get(f"{leases}/a").body["metadata"]["uid"] == meta["uid"]


def test_versions_increase_and_are_shared_by_lists(api: Client, leases: str) -> None:
    first = api.post(leases, lease("a"))
    second = api.patch(f"{leases}/a", {"spec": {"holderIdentity": "b"}})
    assert int(first.version) < int(second.version) <= int(api.get(leases).version)


@pytest.mark.parametrize("how", ["put", "merge", "json"])
def test_a_write_from_a_stale_version_is_a_conflict(api: Client, leases: str, how: str) -> None:
    old = api.post(leases, lease("a", holderIdentity="one"))
    api.patch(f"{leases}/a", {"spec": {"holderIdentity": "two"}})
    if how == "put":
        reply = api.put(f"{leases}/a", old.body)
    elif how == "merge":
        body = {"metadata": {"resourceVersion": old.version}, "spec": {"holderIdentity": "three"}}
        reply = api.patch(f"{leases}/a", body)
    else:
        operations = [{"op": "replace", "path": "/metadata/resourceVersion", "value": old.version}]
        operations += [{"op": "replace", "path": "/spec/holderIdentity", "value": "three"}]
        reply = api.patch(f"{leases}/a", operations, JSON_PATCH)
    assert (reply.code, reply.reason) == (409, "Conflict")
    assert "the object has been modified" in reply.body["message"]
    assert api.get(f"{leases}/a").body["spec"] == {"holderIdentity": "two"}


def test_a_write_from_the_current_version_succeeds_once(api: Client, leases: str) -> None:
    version = api.post(leases, lease("a")).version
    body = {"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": "me"}}
    codes = [api.patch(f"{leases}/a", {**body, "spec": {"holderIdentity": h}}).code for h in "ab"]
    assert codes == [200, 409]


def test_a_write_to_another_incarnation_is_refused(api: Client, leases: str) -> None:
    made = api.post(leases, lease("a")).body
    uid = "00000000-0000-0000-0000-000000000000"
    reply = api.patch(f"{leases}/a", {"metadata": {"uid": uid}, "spec": {"holderIdentity": "x"}})
    assert (reply.code, reply.fields) == (422, {"metadata.uid"})
    made["metadata"]["uid"] = uid
    reply = api.put(f"{leases}/a", made)
    assert (reply.code, reply.reason) == (409, "Conflict")
    assert "Precondition failed: UID in precondition" in reply.body["message"]


def test_a_write_that_changes_nothing_makes_no_version(api: Client, leases: str) -> None:
    before = api.post(leases, lease("a", holderIdentity="me"))
    assert api.patch(f"{leases}/a", {"spec": {"holderIdentity": "me"}}).version == before.version
    assert api.put(f"{leases}/a", before.body).version == before.version


def test_put_needs_a_version_for_some_resources(
    api: Client, leases: str, configmaps: str, widgets: str, widget: Any
) -> None:
    api.post(leases, lease("a"))
    reply = api.put(f"{leases}/a", lease("a", holderIdentity="x"))
    assert (reply.code, reply.fields) == (422, {"metadata.resourceVersion"})
    made = widget()
    del made["metadata"]["resourceVersion"]
    assert api.put(f"{widgets}/w", made).code == 422
    api.post(configmaps, {"metadata": {"name": "c"}})
    reply = api.put(f"{configmaps}/c", {"metadata": {"name": "c"}, "data": {"a": "b"}})
    assert (reply.code, reply.body["data"]) == (200, {"a": "b"})


def test_put_of_a_deleted_lease_creates_it_unless_it_has_a_uid(
    api: Client, leases: str, configmaps: str
) -> None:
    gone = api.post(leases, lease("a")).body
    api.delete(f"{leases}/a")
    assert api.put(f"{leases}/a", gone).code == 409
    del gone["metadata"]["uid"]
    assert api.put(f"{leases}/a", gone).code == 201
    assert api.put(f"{configmaps}/c", {"metadata": {"name": "c"}}).code == 404


@pytest.mark.parametrize(
    ("name", "body", "code", "reason"),
    [
        ("taken", lease("taken"), 409, "AlreadyExists"),
        ("bad name", lease("Bad_Name"), 422, "Invalid"),
        ("no name", {"metadata": {}}, 422, "Invalid"),
        ("version", {"metadata": {"name": "v", "resourceVersion": "1"}}, 500, ""),
        ("namespace", {"metadata": {"name": "v", "namespace": "other"}}, 400, "BadRequest"),
        ("kind", {"kind": "Pod", "metadata": {"name": "v"}}, 400, "BadRequest"),
        ("api version", {"apiVersion": "v1", "metadata": {"name": "v"}}, 400, "BadRequest"),
        ("seconds", lease("v", renewTime="2026-01-01T00:00:00Z"), 400, "BadRequest"),
        ("millis", lease("v", renewTime="2026-01-01T00:00:00.000Z"), 400, "BadRequest"),
        ("type", lease("v", leaseDurationSeconds="15"), 400, "BadRequest"),
        ("zero", lease("v", leaseDurationSeconds=0), 422, "Invalid"),
        ("label", {"metadata": {"name": "v", "labels": {"a": "b c"}}}, 422, "Invalid"),
        ("label type", {"metadata": {"name": "v", "labels": {"a": 1}}}, 400, "BadRequest"),
        ("not an object", [], 400, "BadRequest"),
        ("not json", b"{", 400, "BadRequest"),
    ],
)
def test_creates_that_are_refused(
    api: Client, leases: str, name: str, body: Any, code: int, reason: str
) -> None:
    api.post(leases, lease("taken"))
    reply = api.post(leases, body)
    assert (reply.code, reply.reason) == (code, reason), reply.body
    assert reply.body["kind"] == "Status"


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-01-01T00:00:00.000000Z", 200),
        ("2026-01-01T00:00:00.123456Z", 200),
        ("2026-01-01T00:00:00Z", 422),
        ("2026-01-01T00:00:00.123Z", 422),
        ("2026-01-01T00:00:00.123456789Z", 422),
    ],
)
def test_renew_times_have_exactly_six_digits(
    api: Client, leases: str, time: str, code: int
) -> None:
    api.post(leases, lease("a"))
    assert api.patch(f"{leases}/a", {"spec": {"renewTime": time}}).code == code


def test_errors_name_what_is_missing(api: Client, leases: str) -> None:
    reply = api.get(f"{leases}/absent")
    assert (reply.code, reply.reason) == (404, "NotFound")
    assert reply.body["message"] == 'leases.coordination.k8s.io "absent" not found'
    assert reply.body["details"] == {
        "name": "absent",
        "group": "coordination.k8s.io",
        "kind": "leases",
    }
    assert api.patch(f"{leases}/absent", {}).code == 404
    assert api.delete(f"{leases}/absent").code == 404
    assert (
        api.post("/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}}).code == 404
    )
    assert api.get("/apis/absent.example/v1/things").code == 404


def test_a_generated_name_fits_into_a_label(api: Client, configmaps: str) -> None:
    made = api.post(configmaps, {"metadata": {"generateName": "x" * 100}}).body
    assert len(made["metadata"]["name"]) == 63


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"binaryData": {"a": "aGk="}}, 201),
        ({"binaryData": {"a": "not base64"}}, 400),
        ({"data": {"a/b": ""}}, 422),
        ({"data": {"a": "x" * (1024 * 1024 + 1)}}, 422),
    ],
)
def test_content_of_configmaps(
    api: Client, configmaps: str, content: dict[str, Any], code: int
) -> None:
    assert api.post(configmaps, {"metadata": {"name": "c"}, **content}).code == code


def test_immutable_configmaps_stay_as_they_are(api: Client, configmaps: str) -> None:
    api.post(configmaps, {"metadata": {"name": "c"}, "data": {"a": "1"}, "immutable": True})
    assert api.patch(f"{configmaps}/c", {"data": {"a": "2"}}).fields == {"data"}
    assert api.patch(f"{configmaps}/c", {"immutable": False}).code == 422
    assert api.patch(f"{configmaps}/c", {"metadata": {"labels": {"x": "y"}}}).code == 200
    assert api.delete(f"{configmaps}/c").code == 200


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({}, 201),
        ({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "other"}}, 422),
        ({"involvedObject": {"kind": "Node", "name": "n"}}, 422),
        ({"eventTime": "2026-01-01T00:00:00.000000Z"}, 422),
        ({"eventTime": "2026-01-01T00:00:00Z"}, 400),
        (
            {
                "eventTime": "2026-01-01T00:00:00.000000Z",
                "reportingComponent": "contract.example/c",
                "reportingInstance": "i",
                "action": "Try",
            },
            201,
        ),
    ],
)
def test_events(api: Client, namespace: str, event: dict[str, Any], code: int) -> None:
    involved = {"kind": "Pod", "name": "p", "namespace": namespace}
    body = {"metadata": {"name": "e"}, "involvedObject": involved, "reason": "R", **event}
    assert api.post(f"/api/v1/namespaces/{namespace}/events", body).code == code


def test_rules_of_a_role_need_groups_and_resources(api: Client, namespace: str) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
    reply = api.post(path, {"metadata": {"name": "r"}, "rules": [{"verbs": ["get"]}]})
    assert reply.fields == {"rules[0].apiGroups", "rules[0].resources"}


@pytest.mark.parametrize("option", ["dryRun", "fieldValidation"])
def test_options_with_unknown_values_are_refused(api: Client, leases: str, option: str) -> None:
    reply = api.post(leases, lease("a"), **{option: "x"})
    assert (reply.code, reply.fields) == (422, {option})
    assert api.delete(f"{leases}/a", {"propagationPolicy": "x"}).fields == {"propagationPolicy"}


def test_generated_names(api: Client, configmaps: str) -> None:
    made = [api.post(configmaps, {"metadata": {"generateName": "c-"}}).body for _ in range(2)]
    names = {obj["metadata"]["name"] for obj in made}
    assert len(names) == 2
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


def test_dry_runs_leave_nothing(api: Client, leases: str) -> None:
    assert api.post(leases, lease("a"), dryRun="All").code == 201
    assert api.get(f"{leases}/a").code == 404
    api.post(leases, lease("a"))
    change = {"spec": {"holderIdentity": "x"}}
    assert api.patch(f"{leases}/a", change, dryRun="All").body["spec"] == change["spec"]
    assert api.delete(f"{leases}/a", dryRun="All").code == 200
    assert api.get(f"{leases}/a").body["spec"] == {}


class TestDeletion:
    def test_preconditions(self, api: Client, leases: str) -> None:
        made = api.post(leases, lease("a")).body["metadata"]
        for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
            reply = api.delete(f"{leases}/a", {"preconditions": wrong})
            assert (reply.code, reply.reason) == (409, "Conflict")
        right = {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}
        assert api.delete(f"{leases}/a", {"preconditions": right}).code == 200

    def test_a_deletion_returns_a_status_that_names_the_object(
        self, api: Client, leases: str
    ) -> None:
        uid = api.post(leases, lease("a")).body["metadata"]["uid"]
        reply = api.delete(f"{leases}/a")
        assert (reply.body["kind"], reply.body["status"]) == ("Status", "Success")
        assert reply.body["details"]["uid"] == uid

    def test_a_finalizer_keeps_an_object(self, api: Client, widgets: str, widget: Any) -> None:
        widget()
        held = {"metadata": {"finalizers": ["contract.example/hold"]}}
        api.patch(f"{widgets}/w", held)
        reply = api.delete(f"{widgets}/w")
        assert reply.body["metadata"]["deletionTimestamp"]
        assert reply.body["metadata"]["generation"] == 2
        more = {"metadata": {"finalizers": ["contract.example/hold", "contract.example/late"]}}
        assert api.patch(f"{widgets}/w", more).code == 422
        assert api.patch(f"{widgets}/w", {"metadata": {"finalizers": None}}).code == 200
        assert api.get(f"{widgets}/w").code == 404

    def test_of_a_collection(self, api: Client, leases: str) -> None:
        for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
            api.post(leases, {"metadata": {"name": name, "labels": {"colour": colour}}})
        assert api.delete(leases, labelSelector="colour=red").code == 200
        assert api.get(leases).names == ["c"]


class TestPods:
    @staticmethod
    def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
        containers = [{"name": "w", "image": "none", "command": ["true"]}]
        return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}

    def test_a_new_pod_is_pending_and_complete(self, api: Client, pods: str) -> None:
        pod = self.pod(restartPolicy="Never")
        pod["status"] = {"phase": "Running"}
        made = api.post(pods, pod).body
        assert made["status"]["phase"] == "Pending"
        assert made["metadata"]["generation"] == 1
        assert made["spec"]["terminationGracePeriodSeconds"] == 30
        assert made["spec"]["serviceAccountName"] == "default"
        assert made["spec"]["containers"][0]["terminationMessagePath"] == "/dev/termination-log"

    def test_a_pod_without_a_node_is_deleted_at_once_and_returned(
        self, api: Client, pods: str
    ) -> None:
        api.post(pods, self.pod())
        assert api.delete(f"{pods}/p").body["kind"] == "Pod"
        assert api.get(f"{pods}/p").code == 404

    def test_a_pod_on_a_node_has_its_grace_and_zero_ends_it(self, api: Client, pods: str) -> None:
        api.post(pods, self.pod(nodeName="nowhere", terminationGracePeriodSeconds=60))
        meta = api.delete(f"{pods}/p").body["metadata"]
        assert meta["deletionGracePeriodSeconds"] == 60
        shorter = api.delete(f"{pods}/p", gracePeriodSeconds=50).body["metadata"]
        assert shorter["deletionGracePeriodSeconds"] == 50
        assert api.delete(f"{pods}/p", {"gracePeriodSeconds": 0}).code == 200
        assert api.get(f"{pods}/p").code == 404

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"activeDeadlineSeconds": 5}, 200),
            ({"containers": [{"name": "w", "image": "other"}]}, 200),
            ({"containers": [{"name": "w", "command": ["false"]}]}, 422),
            ({"restartPolicy": "Never"}, 422),
        ],
    )
    def test_the_spec_of_a_pod_cannot_be_changed(
        self, api: Client, pods: str, change: dict[str, Any], code: int
    ) -> None:
        api.post(pods, self.pod())
        assert api.patch(f"{pods}/p", {"spec": change}, STRATEGIC).code == code

    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            ({"containers": []}, "spec.containers"),
            ({"containers": [{"name": "W", "image": "i"}]}, "spec.containers[0].name"),
            ({"containers": [{"name": "w"}]}, "spec.containers[0].image"),
            ({"restartPolicy": "Sometimes"}, "spec.restartPolicy"),
            ({"volumes": [{"name": "v"}, {"name": "v"}]}, "spec.volumes[1].name"),
            (
                {
                    "containers": [
                        {
                            "name": "w",
                            "image": "i",
                            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                        }
                    ]
                },
                "spec.containers[0].volumeMounts[0].name",
            ),
        ],
    )
    def test_pods_that_are_refused(
        self, api: Client, pods: str, spec: dict[str, Any], field: str
    ) -> None:
        reply = api.post(pods, self.pod(**spec))
        assert (reply.code, reply.reason) == (422, "Invalid")
        assert field in reply.fields

    @pytest.mark.parametrize(
        ("volume", "mount", "message"),
        [
            (
                {"emptyDir": {}},
                {"subPath": "/etc"},
                "spec.containers[0].volumeMounts.subPath: "
                'Invalid value: "/etc": must be a relative path',
            ),
            (
                {"emptyDir": {}},
                {"subPath": "a/../b"},
                "spec.containers[0].volumeMounts.subPath: "
                "Invalid value: \"a/../b\": must not contain '..'",
            ),
            (
                {"emptyDir": {}},
                {"subPathExpr": "/$(A)"},
                "spec.containers[0].volumeMounts.subPathExpr: "
                'Invalid value: "/$(A)": must be a relative path',
            ),
            (
                {"emptyDir": {}},
                {"subPath": "a", "subPathExpr": "b"},
                "spec.containers[0].volumeMounts[0].subPathExpr: "
                'Invalid value: "b": subPathExpr and subPath are mutually exclusive',
            ),
            (
                {"configMap": {"name": "c", "items": [{"key": "k", "path": "/x"}]}},
                {},
                "spec.volumes[0].configMap.items[0].path: "
                'Invalid value: "/x": must be a relative path',
            ),
            (
                {"configMap": {"name": "c", "items": [{"key": "k", "path": "..x"}]}},
                {},
                "spec.volumes[0].configMap.items[0].path: "
                "Invalid value: \"..x\": must not start with '..'",
            ),
            (
                {"configMap": {"name": "c", "items": [{"path": "x"}]}},
                {},
                "spec.volumes[0].configMap.items[0].key: Required value",
            ),
            (
                {"configMap": {"name": "c", "items": [{"key": "k"}]}},
                {},
                "spec.volumes[0].configMap.items[0].path: Required value",
            ),
            (
                {"configMap": {"name": "c", "defaultMode": 0o4755}},
                {},
                "spec.volumes[0].configMap.defaultMode: Invalid value: 2541: "
                "must be a number between 0 and 0777 (octal), both inclusive",
            ),
            (
                {"downwardAPI": {"items": [{"path": "../x", "fieldRef": NAME}]}},
                {},
                "spec.volumes[0].downwardAPI.path: Invalid value: \"../x\": must not contain '..'",
            ),
            (
                {"projected": {"sources": [{"serviceAccountToken": {"path": "/t"}}]}},
                {},
                'spec.volumes[0].projected.path: Invalid value: "/t": must be a relative path',
            ),
            (
                {
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "c", "items": [{"key": "k", "path": "../p"}]}}
                        ]
                    }
                },
                {},
                "spec.volumes[0].projected.sources[0].configMap.items[0].path: "
                "Invalid value: \"../p\": must not contain '..'",
            ),
            (
                {
                    "projected": {
                        "sources": [{"downwardAPI": {"items": [{"path": "/n", "fieldRef": NAME}]}}]
                    }
                },
                {},
                "spec.volumes[0].projected.sources[0].downwardAPI.path: "
                'Invalid value: "/n": must be a relative path',
            ),
        ],
    )
    def test_a_path_that_leaves_its_volume_is_refused(
        self, api: Client, pods: str, volume: dict[str, Any], mount: dict[str, Any], message: str
    ) -> None:
        mounts = [{"name": "v", "mountPath": "/v", **mount}]
        containers = [{"name": "w", "image": "i", "volumeMounts": mounts}]
        volumes = [{"name": "v", **volume}]
        reply = api.post(pods, self.pod(volumes=volumes, containers=containers))
        assert reply.code == 422
        assert message in reply.body["message"]
        unknown = 'spec.containers[0].volumeMounts[0].name: Not found: "v"'
        assert (unknown in reply.body["message"]) is (mount == {})

    def test_a_pod_with_an_account_that_does_not_exist_is_refused(
        self, api: Client, pods: str
    ) -> None:
        reply = api.post(pods, self.pod(serviceAccountName="absent"))
        assert (reply.code, reply.reason) == (403, "Forbidden")
        assert 'serviceaccount "absent" not found' in reply.body["message"]
