"""What the API server refuses waits and is tried again; nothing else of the job waits with it."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from tests.support.jobs import worker
from tests.support.snapshots import shown
from tests.support.world import KEY, TEAM, P, World, refusal, running_world, settled_world

from elasticjob.controller import kube
from elasticjob.controller.kube import UnavailableError
from elasticjob.wire import names
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

QUOTA = "exceeded quota: team-quota, requested: pods=1, used: pods=3, limited: pods=3"
CURE = "raise the quota, lower replicas, or wait until it has room"
INVALID = 'Pod "demo-0-0" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "data"'


def creates(world: World) -> list[str]:
    """Pods that were asked for, in order."""
    calls = (c for c in world.api.calls if (c.verb, c.plural) == ("create", "pods"))
    found = [call.what for call in calls]
    world.api.calls.clear()
    return found


# ---- what there is to see ------------------------------------------------------------------------


def test_a_job_that_runs_reports_why_it_does_not_grow() -> None:
    world = running_world(3)
    world.limit_pods(3)
    world.edit(replicas=4)
    world.settle()
    assert world.status()["phase"] == shown(f"Running: 1/4 pods cannot be created: {QUOTA}")
    said = f"1/4 pods cannot be created: {QUOTA}; {CURE}"
    assert world.condition("PodsReady") == ("False", "PodsRefused", said)
    degraded = f"3/4 pods in the round; 1/4 pods cannot be created: {QUOTA}; {CURE}"
    assert world.condition("Degraded") == ("True", "QuotaExceeded", degraded)
    assert world.condition("Stalled")[:2] == ("False", "NotStalled")  # type: ignore[index]
    assert world.events()["PodsRefused"] == (1, said)


def test_an_invalid_template_is_reported_with_its_field_and_the_cure() -> None:
    world = World()
    world.api.refuse["create", "pods"] = refusal(INVALID, 422, "Invalid")
    world.apply(replicas=1)
    world.settle()
    field = "spec.template.spec.containers[0].volumeMounts[0].name"
    assert world.status()["phase"] == f"Pending: edit {field}..."
    assert world.condition("Stalled")[:2] == ("True", "TemplateRefused")  # type: ignore[index]
    assert world.condition("PodsReady") == (
        "False",
        "TemplateRefused",
        f'0/1 pods running; edit {field}: Not found: "data"; no further pod runs before this is'
        " corrected, and then the operator creates pods at once; until then it tries again, at"
        " least every 120 s",
    )


def test_one_more_pod_that_is_refused_in_the_same_words_is_no_event() -> None:
    world = running_world(3)
    world.api.refuse["create", "pods"] = refusal("no")
    for pod, refused in (("demo-1-0", 1), ("demo-2-0", 2)):
        world.end_pod(pod)
        world.settle()
        assert f": {refused}/3 pods cannot be created: no" in world.status()["phase"]
    assert world.events()["PodsRefused"][0] == 1


# ---- nothing else waits --------------------------------------------------------------------------


def test_a_job_that_waits_for_a_quota_is_suspended_at_once() -> None:
    world = running_world(3)
    world.limit_pods(3)
    world.edit(replicas=4)
    world.sleep(20)
    world.edit(suspend=True)
    world.sleep(0)
    assert world.desired().wanted == ()
    assert world.status()["phase"] == "Suspending"
    world.write_round(Round(2, Phase.FORMING, starts=1), holder="")
    world.sleep(0)
    assert world.deleted_names() == ["demo-0-0", "demo-1-0", "demo-2-0"]
    world.end_deleted()
    world.sleep(0.5)
    assert world.status()["phase"] == "Suspended"
    assert creates(world)[-1] == "demo-3-0"
    world.sleep(100)
    assert creates(world) == []


def test_a_successor_that_was_refused_is_made_soon_after_there_is_room() -> None:
    world = running_world(4)
    world.limit_pods(3)
    creates(world)
    world.end_pod("demo-2-0")
    world.sleep(2)
    assert creates(world) == ["demo-2-1"] * 2
    world.limit_pods(4)
    world.sleep(4)
    assert "demo-2-1" in world.pod_names()
    assert (
        world.events()["PodsReplaced"][1]
        == "created demo-2-1, each in place of the last pod of its index"
    )


@pytest.mark.parametrize("refused_first", [False, True])
def test_a_refusal_does_not_shorten_the_waits_of_an_index_that_is_lost_again(
    refused_first: bool,
) -> None:
    """Each pod of index 1 ends at once; each is refused first, or none."""
    world = running_world(2)
    asked: set[str] = set()

    def refuse(name: str) -> Exception | None:
        is_first = name not in asked
        asked.add(name)
        return refusal(QUOTA) if is_first and refused_first else None

    world.api.refuse["create", "pods"] = refuse
    for generation in range(6):
        while f"demo-1-{generation}" not in world.pod_names():
            world.sleep(1)
        world.end_pod(f"demo-1-{generation}")
        world.sleep(2)
    found = world.reconciler.memories[KEY].replacements[1]
    assert found.count == 5
    assert 60 + 120 + 240 + 480 <= world.now - 1000 < 1000
    assert world.events()["PodsCreated"] == (1, "created demo-0-0, demo-1-0")


def test_the_waits_double_up_to_half_a_minute_and_grow_slowly_then() -> None:
    world = World()
    asked: list[float] = []

    def refuse(name: str) -> Exception:
        asked.append(world.now)
        return refusal(QUOTA)

    world.api.refuse["create", "pods"] = refuse
    world.apply(replicas=1)
    world.sleep(3600)
    waits = [after - before for before, after in itertools.pairwise(asked)]
    assert waits[:10] == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert waits[10:12] == [33, 36]
    assert (waits[19], sum(waits[:19])) == (60, 586)
    assert (waits[39], sum(waits[:39])) == (120, 2356)
    assert set(waits[39:]) == {120}


def test_a_corrected_template_is_tried_at_once() -> None:
    world = World()
    world.api.refuse["create", "pods"] = refusal(INVALID, 422, "Invalid")
    world.apply(replicas=1)
    world.sleep(50)
    world.api.refuse.clear()
    world.edit(template={"spec": {"containers": [worker(name="corrected")]}})
    world.sleep(0)
    assert world.pod_names() == ["demo-0-0"]
    assert world.condition("PodsReady") == (
        "False", "PodsStart", "0/1 pods running; waiting for demo-0-0",
    )  # fmt: skip


def test_another_refusal_after_a_correction_is_another_event() -> None:
    world = World()
    world.api.refuse["create", "pods"] = refusal(INVALID, 422, "Invalid")
    world.apply(replicas=1)
    world.settle()
    world.api.refuse["create", "pods"] = refusal(INVALID.replace("data", "other"), 422, "Invalid")
    world.edit(template={"spec": {"containers": [worker(name="corrected")]}})
    world.settle()
    count, message = world.events()["TemplateRefused"]
    assert count == 2
    assert '"other"' in message


def test_the_place_of_a_pod_that_is_gone_is_used_at_once() -> None:
    """A pod of this job, made in the same pass as the refusal."""
    world = World()
    world.limit_pods(2)
    world.apply(replicas=3)
    world.sleep(20)
    world.start_all()
    creates(world)
    world.remove_pod("demo-1-0")
    world.sleep(0)
    assert creates(world) == ["demo-2-0", "demo-1-1"]
    assert world.pod_names() == ["demo-0-0", "demo-2-0"]


@pytest.mark.parametrize(
    ("policy", "kept"), [("Running", []), ("KeepFailed", []), ("All", []), ("None", ["demo-1-0"])]
)
def test_a_pod_that_has_ended_does_not_take_the_place_of_its_successor(
    policy: str, kept: list[str]
) -> None:
    """A quota of count/pods counts pods that have ended, too."""
    world = running_world(4, cleanPodPolicy=policy)
    full = refusal("exceeded quota: objects, requested: count/pods=1, limited: count/pods=4")
    world.api.refuse["create", "pods"] = lambda name: full if len(world.pods()) >= 4 else None
    world.end_pod("demo-1-0")
    world.sleep(2)
    made = [] if kept else ["demo-1-1"]
    assert world.pod_names() == ["demo-0-0", *kept, *made, "demo-2-0", "demo-3-0"]


def test_the_pod_that_failed_last_is_kept_where_its_successor_is_made() -> None:
    world = running_world(4)
    world.limit_pods(4)
    world.end_pod("demo-1-0")
    world.sleep(2)
    assert {"demo-1-0", "demo-1-1"} <= set(world.pod_names())


def test_a_refused_index_holds_up_neither_the_status_nor_another_index() -> None:
    world = running_world(4)
    no = refusal('admission webhook "names.example.com" denied the request: no 2-1 here')
    world.api.refuse["create", "pods"] = lambda name: no if name == "demo-2-1" else None
    world.end_pod("demo-2-0")
    world.sleep(50)
    world.end_pod("demo-3-0")
    world.sleep(0)
    assert "demo-3-1" in world.pod_names()
    assert world.condition("PodsReady") == (
        "False",
        "PodsRefused",
        '2/4 pods running; 1/4 pods cannot be created: admission webhook "names.example.com"'
        " denied the request: no 2-1 here; correct spec.template or the webhook's policy",
    )


def test_pods_that_are_always_refused_keep_no_other_from_being_made() -> None:
    world = World()
    no = refusal("no")
    bad = ("demo-0-0", "demo-1-0", "demo-9-0")
    world.api.refuse["create", "pods"] = lambda name: no if name in bad else None
    world.apply(replicas=30)
    world.sleep(20)
    assert len(world.pod_names()) == 27


def test_a_pod_that_cannot_be_deleted_holds_up_nothing() -> None:
    world = running_world(4)
    no = refusal('admission webhook "keep.example.com" denied the request: keep it')
    world.api.refuse["delete", "pods"] = lambda name: no if name == "demo-3-0" else None
    world.edit(replicas=2)
    world.sleep(0)
    world.run(P[0], P[1], n=2)
    world.end_pod("demo-1-0")
    world.sleep(0.5)
    assert world.deleted_names() == ["demo-2-0"]
    assert "demo-1-1" in world.pod_names()
    assert world.events()["RequestRefused"][1] == (
        'cannot delete pod demo-3-0: admission webhook "keep.example.com" denied the request:'
        " keep it"
    )
    world.api.refuse.clear()
    world.sleep(2)
    assert world.deleted_names() == ["demo-2-0", "demo-3-0"]


@pytest.mark.parametrize("code", [403, 500])
def test_a_webhook_that_denies_a_deletion_holds_up_nothing(code: int) -> None:
    world = running_world(3)
    said = 'admission webhook "keep.example.com" denied the request: keep it'
    world.api.refuse["delete", "pods"] = refusal(said, code, "")
    world.edit(replicas=2)
    world.sleep(0)
    world.run(P[0], P[1], n=2)
    world.sleep(50)
    world.edit(suspend=True)
    world.sleep(0)
    assert world.desired().wanted == ()
    assert world.events()["RequestRefused"][1] == f"cannot delete pod demo-2-0: {said}"


def test_a_pod_that_was_made_by_a_request_that_failed_is_replaced_when_it_ends() -> None:
    """The API server can answer 500 after it has stored the pod."""
    world = running_world(3)
    world.api.refuse["create", "pods"] = refusal("etcdserver: timed out", 500, "InternalError")
    made = world.store.get(world.api.stored(kube.PODS), TEAM, "demo-2-0")
    world.end_pod("demo-2-0")
    world.sleep(10)
    world.api.refuse.clear()
    labels = {**made["metadata"]["labels"], names.LABEL_GENERATION: "1"}
    meta = {"name": "demo-2-1", "labels": labels, "annotations": made["metadata"]["annotations"]}
    world.store.create(world.api.stored(kube.PODS), TEAM, {"metadata": meta, "spec": made["spec"]})
    world.sleep(0)
    world.join(Pod(2, 1))
    world.remove_pod("demo-2-1")
    world.live(120)
    assert world.pod_names() == ["demo-0-0", "demo-1-0", "demo-2-2"]


def test_a_mark_that_is_refused_holds_up_the_successor_and_the_holder_alone() -> None:
    world = running_world(3)
    no = refusal("no")
    world.api.refuse["patch", "leases"] = lambda name: no if name == "demo-0-0" else None
    world.end_pod("demo-0-0")
    world.sleep(10)
    assert world.round().holder == "demo-0-0"
    assert "demo-0-1" not in world.pod_names()
    world.edit(suspend=True)
    world.sleep(0)
    assert world.desired().wanted == ()
    assert world.round().holder == "demo-0-0"
    world.api.refuse.clear()
    world.sleep(30)
    assert world.round().holder == ""


# ---- few requests --------------------------------------------------------------------------------


def test_a_full_quota_costs_fewer_requests_than_pods() -> None:
    world = World()
    world.limit_pods(0)
    world.apply(replicas=500)
    world.sleep(0)
    assert creates(world) == [f"demo-{index}-0" for index in range(8)]
    world.sleep(3)
    assert creates(world) == ["demo-8-0", "demo-9-0"]
    world.limit_pods(100)
    world.sleep(4)
    assert len(creates(world)) == 127  # 1, 2, 4, ... 64: of the last 27 are refused
    assert len(world.pod_names()) == 100


def test_a_job_whose_pods_are_not_refused_gets_them_in_a_few_batches() -> None:
    world = settled_world(replicas=100)
    assert creates(world) == [f"demo-{index}-0" for index in range(100)]


def test_a_job_that_waits_costs_no_request_between_the_tries() -> None:
    world = World()
    world.limit_pods(0)
    world.apply(replicas=2)
    world.sleep(35)
    world.api.calls.clear()
    world.marked.add(KEY)
    world.sleep(1)
    assert world.api.calls == []


def test_a_job_that_waits_costs_four_requests_for_each_try() -> None:
    world = World()
    world.limit_pods(0)
    world.apply(replicas=4)
    world.sleep(100)
    world.api.calls.clear()
    world.sleep(600)
    calls = Counter((call.verb, call.plural) for call in world.api.calls)
    looks = (("get", "elasticjobs"), ("get", "leases"), ("list", "pods"))
    assert calls == dict.fromkeys([*looks, ("create", "pods")], 13)
    assert world.status()["phase"].startswith("Pending: 4/4 pods cannot be created: ")


def test_an_account_that_is_gone_while_a_job_waits_is_made_again_when_it_is_missed() -> None:
    world = running_world(3)
    world.limit_pods(3)
    world.edit(replicas=4)
    world.sleep(300)
    accounts = world.api.stored(kube.SERVICE_ACCOUNTS)
    world.store.delete(accounts, TEAM, "elasticjob-demo")

    def refuse(name: str) -> Exception | None:
        if world.store.find(accounts, TEAM, "elasticjob-demo"):
            return None
        return refusal(
            f'pods "{name}" is forbidden: error looking up service account team/elasticjob-demo:'
            ' serviceaccount "elasticjob-demo" not found'
        )

    world.sleep(60)
    assert world.store.find(accounts, TEAM, "elasticjob-demo") is None
    world.api.refuse["create", "pods"] = refuse
    world.sleep(120)
    assert world.store.find(accounts, TEAM, "elasticjob-demo") is not None
    assert "demo-3-0" in world.pod_names()


# ---- which errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        refusal("exceeded quota: q"),
        refusal(INVALID, 422, "Invalid"),
        kube.error_of(409, "Conflict", "the object has been modified"),  # a quota's counter
        kube.error_of(404, "NotFound", 'namespaces "team" not found'),
        refusal('failed calling webhook "w": no route to host', 500, "InternalError"),
        refusal('admission webhook "w" denied the request: cache not synced', 500, ""),
        refusal("resource quota evaluation timed out", 500, "InternalError"),
    ],
)
def test_what_delays_one_pod_only(error: Exception) -> None:
    world = World()
    world.api.refuse["create", "pods"] = error
    world.apply(replicas=1)
    assert 0 < (world.settle() or 0) <= 1
    assert world.condition("Stalled")[0] == "True"  # type: ignore[index]
    world.api.refuse.clear()
    world.now += 1
    world.settle()
    assert world.pod_names() == ["demo-0-0"]


@pytest.mark.parametrize("status", [0, 429, 503, 504])
def test_an_api_server_that_is_away_is_the_queues_business(status: int) -> None:
    world = World()
    world.api.refuse["create", "pods"] = kube.error_of(status, "", "no answer")
    world.apply(replicas=2)
    with pytest.raises(UnavailableError):
        world.settle()


def test_pods_that_were_created_next_to_a_failure_are_remembered() -> None:
    world = World()
    errors = {"demo-0-0": refusal("no"), "demo-1-0": UnavailableError("no answer")}
    world.api.refuse["create", "pods"] = errors.get
    world.apply(replicas=3)
    with pytest.raises(UnavailableError):
        world.settle()
    assert world.pod_names() == ["demo-2-0"]
    found = world.reconciler.memories[KEY].refusals
    assert list(found.by_action) == ["create pod 0-0"]
    assert found.pods == {P[2]}


# ---- what pods need ------------------------------------------------------------------------------


def test_without_their_account_no_pods_are_requested() -> None:
    world = World()
    world.api.refuse["create", "serviceaccounts"] = refusal(
        'serviceaccounts "elasticjob-demo" is forbidden: exceeded quota: objects,'
        " requested: count/serviceaccounts=1, used: count/serviceaccounts=9,"
        " limited: count/serviceaccounts=9"
    )
    world.apply(replicas=2)
    world.sleep(10)
    assert creates(world) == []
    assert (
        world.status()["phase"]
        == 'Pending: no pods can be created: serviceaccounts "elasticjob-demo"...'
    )
    stalled = world.condition("Stalled")
    assert stalled is not None
    assert stalled[:2] == ("True", "QuotaExceeded")
    assert "exceeded quota: objects" in stalled[2]
    assert world.round().round.n == 0
    world.api.refuse.clear()
    world.sleep(10)
    assert world.pod_names() == ["demo-0-0", "demo-1-0"]


@pytest.mark.parametrize("labels", [{}, {names.LABEL_JOB: "other", names.LABEL_JOB_UID: "u"}])
def test_a_lease_of_the_rounds_name_that_belongs_to_no_job(labels: dict[str, str]) -> None:
    world = World()
    meta = {"name": "demo-round", "labels": labels}
    world.store.create(world.api.stored(kube.LEASES), TEAM, {"metadata": meta, "spec": {}})
    world.apply(replicas=2)
    world.sleep(100)
    said = (
        "no pods can be created: the Lease demo-round exists and belongs to no job of this name:"
        " delete it, or give the job another name"
    )
    assert world.status()["phase"] == shown(f"Pending: {said}")
    assert world.condition("PodsReady") == ("False", "PodsRefused", f"0/2 pods running; {said}")
    assert world.events()["PodsRefused"][0] == 1
    assert world.lease("demo-round")["metadata"]["labels"] == labels
    world.edit(suspend=True)
    world.sleep(0)
    assert world.status()["phase"] == "Suspended"
    world.edit(suspend=False)
    world.sleep(0)
    world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    world.sleep(1)
    assert world.pod_names() == ["demo-0-0", "demo-1-0"]


def test_an_object_of_an_older_job_that_stays_delays_pods_only() -> None:
    world = World()
    bindings = world.api.stored(kube.ROLE_BINDINGS)
    old = {"metadata": {"name": "elasticjob-demo", "finalizers": ["example.com/keep"]}}
    labels = {names.LABEL_JOB: "demo", names.LABEL_JOB_UID: "older"}
    old["metadata"]["labels"] = labels  # type: ignore[assignment]
    old["roleRef"] = {"kind": "ClusterRole", "name": "elasticjob-agent"}  # type: ignore[assignment]
    world.store.create(bindings, TEAM, old)
    world.apply(replicas=1)
    world.sleep(5)
    assert world.condition("Stalled") == (
        "True",
        "PodsRefused",
        "no pods can be created: the RoleBinding elasticjob-demo belongs to an older job of this"
        " name, and is still there after its deletion: remove its finalizers, or stop what creates"
        " it",
    )
    world.edit(suspend=True)
    world.sleep(0)
    assert world.status()["phase"] == "Suspended"
