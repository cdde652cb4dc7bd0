from __future__ import annotations

from bench.site import parse_requests

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",verb="PATCH"} 12
apiserver_request_total{code="409",group="coordination.k8s.io",resource="leases",verb="PATCH"} 1
apiserver_request_total{code="200",dry_run="x",resource="leases",verb="PATCH"} 3
apiserver_request_total{code="200",resource="pods",verb="GET"} 7
apiserver_request_total_other{code="200",resource="leases",verb="GET"} 7
"""


def test_requests_of_one_resource_are_added_up_by_verb_and_code() -> None:
    assert parse_requests(METRICS) == {("PATCH", "200"): 15, ("PATCH", "409"): 1}
