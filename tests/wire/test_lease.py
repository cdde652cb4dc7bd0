from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.merge_patch import merge

from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Endpoint, Phase, Round

JOB = leases.JobIdentity("team", "my-job", "uid-1")
WANTED = Desired(wanted=(Pod(0, 0), Pod(1, 0)))
ACTIVE = Round(2, Phase.ACTIVE, (Member(Pod(0, 0)),), Endpoint("10.0.0.1"), starts=1)
STATE = AgentState(AgentPhase.RUNNING, 2, address="10.0.0.1")
TIME = "2026-11-22T10:00:00.000001Z"


def stored(manifest: Json, version: str = "7") -> Json:
    """The Lease as the API server returns it."""
    manifest = copy.deepcopy(manifest)
    manifest["metadata"].update(resourceVersion=version, uid="uid-of-lease")
    return manifest


def agent_lease() -> Json:
    return leases.agent_manifest(JOB, "round-uid", Pod(3, 1), "nonce-1", STATE, TIME, 15.0)


# ---- the Round Lease -----------------------------------------------------------------------------


def test_a_round_lease_and_its_inverse() -> None:
    lease = stored(leases.round_manifest(JOB, WANTED, Round()))
    assert lease["metadata"]["name"] == "my-job-round"
    assert lease["metadata"]["labels"][names.LABEL_LEASE] == names.LEASE_ROUND
    assert leases.parse_round(lease) == leases.RoundLease(
        "7", "uid-of-lease", "uid-1", WANTED, Round()
    )


def test_a_round_lease_with_holder_pulse_and_report() -> None:
    lease = stored(leases.round_manifest(JOB, WANTED, ACTIVE))
    lease["spec"] = {"holderIdentity": "my-job-0-0", "renewTime": TIME}
    lease["metadata"]["annotations"][names.ANNOTATION_REPORT] = Report(2).to_json()
    found = leases.parse_round(lease)
    assert (found.holder, found.renew_time, found.report) == ("my-job-0-0", TIME, Report(2))


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None, "renewTime": None}])
def test_a_round_lease_without_a_holder(spec: object) -> None:
    lease = stored(leases.round_manifest(JOB, WANTED, ACTIVE))
    lease["spec"] = spec
    assert (leases.parse_round(lease).holder, leases.parse_round(lease).renew_time) == ("", "")


def test_the_round_lease_is_owned_by_the_job() -> None:
    (owner,) = leases.round_manifest(JOB, WANTED, Round())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == (names.KIND, "my-job", "uid-1")
    assert "blockOwnerDeletion" not in owner  # OpenShift refuses it


# ---- an agent's Lease ----------------------------------------------------------------------------


def test_an_agent_lease_and_its_inverse() -> None:
    lease = stored(agent_lease())
    assert leases.parse_agent(lease, JOB) == leases.AgentLease(
        "my-job-3-1", Pod(3, 1), "7", "uid-of-lease", "uid-1", "nonce-1", TIME, STATE
    )


def test_an_agent_lease_is_owned_by_the_round_lease() -> None:
    """So a deleted job takes the Round Lease first, and the agents freeze."""
    (owner,) = agent_lease()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Lease", "my-job-round", "round-uid")
    assert "blockOwnerDeletion" not in owner


@pytest.mark.parametrize(("given", "written"), [(0.6, 1), (0.0, 1), (15.0, 15), (180.0, 180)])
def test_a_lease_lasts_whole_seconds_from_1(given: float, written: int) -> None:
    lease = leases.agent_manifest(JOB, "u", Pod(0, 0), "n", STATE, TIME, given)
    assert lease["spec"]["leaseDurationSeconds"] == written


def test_ended_is_a_separate_annotation() -> None:
    """The operator's mark and the agent's renewals never overwrite each other."""
    lease = merge(
        stored(agent_lease()), leases.ended_patch(JOB, "u", leases.EndedMark("Evicted"), "7")
    )
    assert leases.parse_agent(lease, JOB).ended
    again = merge(lease, leases.agent_patch(AgentState(AgentPhase.DONE, 2), TIME, "8"))
    assert leases.parse_agent(again, JOB).ended
    assert leases.parse_agent(again, JOB).state == AgentState(AgentPhase.DONE, 2)


@pytest.mark.parametrize(
    ("annotation", "excused"),
    [
        (leases.EndedMark("deleted", excused=True).to_json(), True),
        (leases.EndedMark("OOMKilled").to_json(), False),
        ("", False),
        ("not JSON", False),
        ('{"v":2,"excused":true}', False),
        ('{"v":1,"excused":"yes"}', False),
        ("[" * 5000, False),
        (7, False),
    ],
)
def test_a_malformed_mark_counts_and_excuses_nothing(annotation: Any, excused: bool) -> None:
    lease = stored(agent_lease())
    lease["metadata"]["annotations"][names.ANNOTATION_ENDED] = annotation
    found = leases.parse_agent(lease, JOB)
    assert (found.ended, found.excused) == (True, excused)


def test_a_pod_given_up_before_its_lease_gets_one_that_is_ended() -> None:
    lease = stored(
        leases.ended_manifest(JOB, "round-uid", Pod(3, 1), leases.EndedMark("ImagePullBackOff"), 2)
    )
    found = leases.parse_agent(lease, JOB)
    assert (found.ended, found.nonce, found.renew_time) == (True, "", "")
    assert (found.state.phase, found.state.n) == (AgentPhase.READY, 2)
    assert lease["metadata"]["name"] == "my-job-3-1"


# ---- patches -------------------------------------------------------------------------------------

PATCHES: dict[str, Callable[[str], Json]] = {
    "desired": lambda version: leases.desired_patch(WANTED, version),
    "round": lambda version: leases.round_patch(ACTIVE, version),
    "claim": lambda version: leases.holder_patch("my-job-0-0", TIME, version),
    "clear": lambda version: leases.holder_patch("", TIME, version),
    "pulse": lambda version: leases.pulse_patch(Report(2), TIME, version),
    "agent": lambda version: leases.agent_patch(STATE, TIME, version),
    "ended": lambda version: leases.ended_patch(JOB, "u", leases.EndedMark("Evicted"), version),
}


@pytest.mark.parametrize("name", PATCHES)
def test_every_patch_is_a_compare_and_swap(name: str) -> None:
    """The API server answers 409 if the object has another version than the patch."""
    assert PATCHES[name]("42")["metadata"]["resourceVersion"] == "42"


def test_a_patch_changes_its_fields_only() -> None:
    before = stored(leases.round_manifest(JOB, WANTED, ACTIVE))
    before["spec"] = {"holderIdentity": "my-job-1-0", "renewTime": "old"}
    old = leases.parse_round(before)

    def after(name: str) -> leases.RoundLease:
        return leases.parse_round(merge(before, PATCHES[name]("7")))

    assert after("desired") == old
    assert after("round") == old
    assert (after("claim").holder, after("claim").renew_time) == ("my-job-0-0", TIME)
    assert (after("clear").holder, after("clear").renew_time) == ("", "")
    pulsed = after("pulse")
    assert (pulsed.holder, pulsed.renew_time, pulsed.report) == ("my-job-1-0", TIME, Report(2))
    assert pulsed.round == old.round


# ---- hostile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "x", "0x7", "\u00b2", "-1", None, 7])
def test_a_version_that_cannot_be_compared_is_refused(version: object) -> None:
    """The rules compare versions, which are growing decimal numbers (KEP-5504)."""
    lease = stored(leases.round_manifest(JOB, WANTED, ACTIVE))
    lease["metadata"]["resourceVersion"] = version
    with pytest.raises(WireError, match=r"metadata\.resourceVersion"):
        leases.parse_round(lease)


@pytest.mark.parametrize("key", [names.ANNOTATION_DESIRED, names.ANNOTATION_ROUND])
def test_a_round_lease_without_a_record_is_refused_by_name(key: str) -> None:
    lease = stored(leases.round_manifest(JOB, WANTED, ACTIVE))
    del lease["metadata"]["annotations"][key]
    with pytest.raises(WireError, match=f"no annotation {key}"):
        leases.parse_round(lease)


def test_an_agent_lease_without_its_record_is_refused_by_name() -> None:
    lease = stored(agent_lease())
    del lease["metadata"]["annotations"]
    with pytest.raises(WireError, match=f"no annotation {names.ANNOTATION_AGENT}"):
        leases.parse_agent(lease, JOB)


@pytest.mark.parametrize("name", ["my-job", "other-3-1", "-3-1", "my-job-03-1", "my-job-round", ""])
def test_a_lease_that_is_not_named_like_a_pod_of_the_job_is_refused(name: str) -> None:
    """Code in another job can write labels, on the one Lease that it may write."""
    lease = stored(agent_lease())
    lease["metadata"]["name"] = name
    with pytest.raises(WireError, match=f"the Lease '{name}' is not named like a pod of my-job$"):
        leases.parse_agent(lease, JOB)


@pytest.mark.parametrize("name", ["my-job-3-2", "my-job-4-1"])
def test_a_lease_with_the_labels_of_another_pod_is_refused(name: str) -> None:
    lease = stored(agent_lease())
    lease["metadata"]["name"] = name
    with pytest.raises(WireError, match=f"the label .* of the Lease '{name}' is"):
        leases.parse_agent(lease, JOB)


@pytest.mark.parametrize(
    "job",
    [
        leases.JobIdentity("team", "other", "uid-1"),
        leases.JobIdentity("team", "my", "uid-1"),
        leases.JobIdentity("team", "my-job", "uid-2"),
        leases.JobIdentity("other", "my-job", "uid-1"),
    ],
)
def test_the_lease_of_another_job_is_refused(job: leases.JobIdentity) -> None:
    lease = stored(agent_lease())
    assert leases.job_uid_of(lease) == "uid-1"
    with pytest.raises(WireError, match="my-job-3-1"):
        leases.parse_agent(lease, job)


@pytest.mark.parametrize("label", sorted(agent_lease()["metadata"]["labels"]))
@pytest.mark.parametrize("value", [None, "", "x", "-1", "\u00b2", "1.0", 1])
def test_a_label_that_does_not_agree_with_the_name_is_refused(label: str, value: object) -> None:
    lease = stored(agent_lease())
    lease["metadata"]["labels"][label] = value
    with pytest.raises(WireError, match=label):
        leases.parse_agent(lease, JOB)


def test_a_lease_without_labels_has_no_job() -> None:
    assert leases.job_uid_of({"metadata": {"name": "my-job-3-1"}}) == ""


def parse_of_job(lease: Json) -> leases.AgentLease:
    return leases.parse_agent(lease, JOB)


@pytest.mark.parametrize("parse", [leases.parse_round, parse_of_job])
def test_any_lease_is_read_or_refused(parse: Callable[[Json], object]) -> None:
    made = (
        leases.round_manifest(JOB, WANTED, ACTIVE) if parse is leases.parse_round else agent_lease()
    )
    for hostile in _hostile(stored(made)):
        try:
            parse(hostile)
            leases.job_uid_of(hostile)
        except WireError:
            pass
    for hostile in (None, [], "x", 1, {}):
        with pytest.raises(WireError):
            parse(hostile)  # type: ignore[arg-type]


def _hostile(lease: Json) -> Iterator[Json]:
    for path in list(_paths(lease)):
        for wrong in (None, 1, True, "x", "", [], {}, [None], {"x": 1}):
            broken = json.loads(json.dumps(lease))
            owner = broken
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = wrong
            yield broken


def _paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _paths(inner, (*path, key))
