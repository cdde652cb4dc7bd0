"""status.recentFailures: the status comes to rest with any rounds in the Lease."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.protocol import active
from tests.support.snapshots import observed_pod, snapshot

from elasticjob.controller.observe.rounds import past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import state, status
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

P0, P1 = Pod(0, 0), Pod(1, 0)
PODS = (observed_pod(0), observed_pod(1))


def stored(s: Snapshot) -> Json:
    """The status as the API server has it after this pass."""
    return status.fields(status.of(s, state.of(s)))


NUMBERS = st.integers(0, 12)
ANY_ROUND = st.builds(
    lambda n, kind, pod, failed_n, charged, forgiven: active(
        n,
        [P0, P1],
        Charges(frozenset(charged), forgiven=forgiven),
        cause=Cause(kind, pod, n=failed_n),
    ),
    NUMBERS,
    st.sampled_from(CauseKind),
    st.sampled_from(["demo-0-0", "demo-1-0", "demo-9-9", ""]),
    st.none() | NUMBERS,
    st.sets(NUMBERS, max_size=12),
    st.just(0) | NUMBERS,
)


@given(st.lists(ANY_ROUND, min_size=1, max_size=12), NUMBERS, st.booleans())
def test_failures_do_not_differ_in_the_next_status_for_any_rounds_in_the_lease(
    rounds: list[Round], status_n: int, has_list: bool
) -> None:
    """Else the operator would write the status for ever. Code in a worker can write any round."""
    known = {"round": status_n, **({"recentFailures": []} if has_list else {})}
    before = tuple(map(past, rounds))
    first = stored(snapshot(*PODS, round_=rounds[-1], past_rounds=before, status=known))
    again = snapshot(*PODS, round_=rounds[-1], past_rounds=before, status=first)
    for field in ("recentFailures", "lastFailure"):
        assert stored(again).get(field) == first.get(field)
