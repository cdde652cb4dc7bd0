"""The objects that the chart renders from its values."""

from __future__ import annotations

import itertools

import pytest
from tests.support.chart import (
    CHART,
    IMAGE,
    KUBE_VERSION,
    NAMESPACE,
    ROOT,
    ChartError,
    of_kind,
    one,
    rendered,
    run_helm,
)

from elasticjob.controller import settings
from elasticjob.controller.lead.candidate import LeaseName
from elasticjob.controller.settings import Settings
from elasticjob.wire.codec import Json

pytestmark = pytest.mark.slow

NAMESPACED = ("scope=namespaced", "namespaces={red,blue}")
SCOPES: dict[str, tuple[str, ...]] = {"cluster": (), "namespaced": NAMESPACED}
SWITCHES = ["crds.install", "rbac.clusterRoles", "policy.enabled", "networkPolicy.enabled"]
FLAGS = list(itertools.product((True, False), repeat=len(SWITCHES)))
MONITORING = ("monitoring.coreos.com/v1",)
OPERATOR = "elasticjob-operator"


def pods(objects: tuple[Json, ...]) -> list[Json]:
    """The specs of all pods of the chart."""
    made = [d["spec"]["template"] for d in of_kind(objects, "Deployment")]
    return [pod["spec"] for pod in (*made, *of_kind(objects, "Pod"))]


def operator(*values: str) -> Json:
    spec = one(rendered(*values), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    found: Json = container
    return found


@pytest.mark.parametrize("scope", SCOPES)
def test_lint(scope: str) -> None:
    words = [word for value in (*SCOPES[scope], IMAGE) for word in ("--set", value)]
    done = run_helm("lint", "--strict", str(CHART), "--kube-version", KUBE_VERSION, *words)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_every_combination_renders(scope: str, flags: tuple[bool, ...]) -> None:
    switched = [f"{s}={str(f).lower()}" for s, f in zip(SWITCHES, flags, strict=True)]
    objects = rendered(*SCOPES[scope], *switched)
    names = [(b["kind"], b["metadata"].get("namespace"), b["metadata"]["name"]) for b in objects]
    assert len(set(names)) == len(names)
    kinds = {kind for kind, _, _ in names}
    for kind, flag in zip(
        ("CustomResourceDefinition", "ClusterRole/agent", "ValidatingAdmissionPolicy",
         "NetworkPolicy"), flags, strict=True,
    ):  # fmt: skip
        here = ("ClusterRole", None, "elasticjob-agent") in names if "/" in kind else kind in kinds
        assert here is flag, kind


def test_namespaced_has_no_right_outside_of_its_namespaces() -> None:
    objects = rendered(*NAMESPACED)
    assert of_kind(objects, "ClusterRoleBinding") == []
    bindings = {b["metadata"]["namespace"] for b in of_kind(objects, "RoleBinding")}
    assert bindings == {"red", "blue", NAMESPACE}
    (in_its_own,) = [
        b for b in of_kind(objects, "RoleBinding") if b["metadata"]["namespace"] == NAMESPACE
    ]
    assert in_its_own["roleRef"]["name"] == f"{OPERATOR}-election"


def test_the_operator_takes_its_arguments() -> None:
    assert settings.parse(operator()["args"]) == Settings(elect=LeaseName(NAMESPACE, OPERATOR))
    found = settings.parse(
        operator(
            *NAMESPACED,
            "templateServiceAccounts={trainer,coach}",
            "operator.leaseWritesPerSecond=250",
            "operator.heartbeatSeconds=2",
            "operator.uncountedRestartsPerHour=30",
            "operator.workers=8",
            "operator.resyncSeconds=60",
            "operator.electionSeconds=6",
            "operator.logLevel=debug",
        )["args"]
    )
    assert found == Settings(
        namespaces=("red", "blue"),
        heartbeat_s=2.0,
        writes_per_s=250.0,
        uncounted_restarts_per_hour=30,
        workers=8,
        resync_s=60.0,
        elect=LeaseName(NAMESPACE, OPERATOR),
        elect_s=6.0,
        template_accounts=("trainer", "coach"),
        log_level="debug",
    )


def test_the_image_is_named_by_tag_or_digest() -> None:
    repository = IMAGE.partition("=")[2]
    chart = (CHART / "Chart.yaml").read_text()
    assert operator()["image"] == f"{repository}:0.1.0"
    assert 'version = "0.1.0"' in (ROOT / "pyproject.toml").read_text()
    assert "appVersion: 0.1.0" in chart
    assert operator("image.tag=x")["image"] == f"{repository}:x"
    digest = f"sha256:{'0' * 64}"
    assert operator(f"image.digest={digest}")["image"] == f"{repository}@{digest}"


@pytest.mark.parametrize("values", [(), NAMESPACED, ("replicas=1",)], ids=str)
def test_all_pods_fit_the_restricted_level(values: tuple[str, ...]) -> None:
    for spec in pods(rendered(*values)):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(spec)
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True


def test_probes_need_no_shell() -> None:
    container = operator()
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}


def test_two_operators_are_spread_and_drained_one_by_one() -> None:
    objects = rendered()
    selector = one(objects, "Deployment")["spec"]["selector"]
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"] == selector
    assert one(objects, "PodDisruptionBudget")["spec"]["selector"] == selector
    assert selector["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert of_kind(rendered("replicas=1"), "PodDisruptionBudget") == []


def test_selectors_match_only_the_operators() -> None:
    objects = rendered("metrics.serviceMonitor.enabled=true", apis=MONITORING)
    labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    service = one(objects, "Service")
    assert service["spec"]["selector"].items() <= labels.items()
    monitor = one(objects, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    network = one(objects, "NetworkPolicy")["spec"]
    assert network["podSelector"]["matchLabels"].items() <= labels.items()
    test = one(objects, "Pod")["metadata"]["labels"]
    assert not service["spec"]["selector"].items() <= test.items()


def test_a_service_monitor_is_created_if_its_crd_exists() -> None:
    values = ("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.labels.release=prom")
    assert of_kind(rendered(*values), "ServiceMonitor") == []
    made = one(rendered(*values, apis=MONITORING), "ServiceMonitor")
    assert made["metadata"]["labels"]["release"] == "prom"
    assert of_kind(rendered(apis=MONITORING), "ServiceMonitor") == []


def test_the_network_policy_allows_dns_and_the_api_server() -> None:
    values = ("networkPolicy.apiServerPorts={6443}", "networkPolicy.apiServerCIDRs={10.0.0.1/32}")
    spec = one(rendered(*values), "NetworkPolicy")["spec"]
    dns, api = spec["egress"]
    assert {(p["port"], p["protocol"]) for p in dns["ports"]} == set(
        itertools.product((53, 5353), ("UDP", "TCP"))
    )
    assert api == {"ports": [{"port": 6443}], "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}
    assert spec["ingress"] == [{"ports": [{"port": "http"}]}]


ACCOUNTS: list[tuple[tuple[str, ...], str]] = [
    ((), "operator-elasticjob"),
    (("fullnameOverride=elasticjob-prod",), "operator-elasticjob-prod"),
    (("serviceAccount.name=mine",), "mine"),
]


@pytest.mark.parametrize(("values", "name"), ACCOUNTS)
def test_no_job_has_the_name_of_the_operators_account(values: tuple[str, ...], name: str) -> None:
    objects = rendered(*values)
    assert one(objects, "ServiceAccount")["metadata"]["name"] == name
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == name


def test_an_account_like_that_of_a_job_is_refused() -> None:
    with pytest.raises(ChartError, match="choose a name that does not begin with elasticjob-"):
        rendered("serviceAccount.name=elasticjob-operator")


@pytest.mark.parametrize(
    ("account", "cure"),
    [
        ("elasticjob-demo", "leave out names that begin with elasticjob-"),
        ("operator-elasticjob", "leave it out, as it is the account of the operator"),
    ],
)
def test_the_accounts_of_templates_are_neither_a_jobs_nor_the_operators(
    account: str, cure: str
) -> None:
    with pytest.raises(ChartError, match=f"templateServiceAccounts has {account}: {cure}"):
        rendered(f"templateServiceAccounts={{trainer,{account}}}")


def test_labels_and_node_selectors_reach_the_pods() -> None:
    spec = one(
        rendered("podLabels.team=ml", "podAnnotations.note=x", "nodeSelector.disk=ssd"),
        "Deployment",
    )["spec"]["template"]
    assert spec["metadata"]["labels"]["team"] == "ml"
    assert spec["metadata"]["annotations"] == {"note": "x"}
    assert spec["spec"]["nodeSelector"] == {"disk": "ssd"}
