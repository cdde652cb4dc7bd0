"""Values, schema and README agree, and wrong values are refused with a clear message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

import pytest
import yaml
from dev.values_table import described as described_in
from dev.values_table import filled
from tests.support.chart import CHART, ChartError, one, rendered, run_helm

from elasticjob.wire.codec import Json

VALUES: Json = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Json = json.loads((CHART / "values.schema.json").read_text())


def leaves(values: Json, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each value that a user can set, with its default. An empty mapping is one value."""
    for key, value in values.items():
        nested = isinstance(value, dict) and value and f"{prefix}{key}" not in ("resources",)
        if nested:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def described(schema: Json, prefix: str = "") -> Iterator[str]:
    """The values of the schema. Each object must refuse unknown keys."""
    assert schema["additionalProperties"] is False, prefix
    for key, field in schema["properties"].items():
        if "properties" in field:
            yield from described(field, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_schema_has_each_value_and_no_other() -> None:
    # `global` is what Helm passes to a chart that is part of another.
    assert sorted(described(SCHEMA)) == sorted([*dict(leaves(VALUES)), "global"])


def test_each_value_is_described() -> None:
    text = (CHART / "values.yaml").read_text()
    assert [".".join(path) for path, _ in described_in(text.splitlines())] == [
        *dict(leaves(VALUES))
    ]


def test_the_readme_has_the_table_of_the_values() -> None:
    readme = (CHART / "README.md").read_text()
    assert filled(readme, (CHART / "values.yaml").read_text()) == readme, "run: make generate"
    assert "| `replicas` | `2` |" in readme


REFUSED = [
    ("replicas=two", "at '/replicas': got string, want integer"),
    ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
    ("replica=2", "additional properties 'replica' not allowed"),
    ("scope=Cluster", "at '/scope': value must be one of 'cluster', 'namespaced'"),
    ("scope=namespaced", "at '/namespaces': minItems: got 0, want 1"),
    ("namespaces={red}", "at '/namespaces': maxItems: got 1, want 0"),
    ("image.digest=abc", "at '/image/digest': 'abc' does not match pattern"),
    ("operator.logLevel=loud", "at '/operator/logLevel': value must be one of 'debug'"),
    ("operator.electionSeconds=1", "at '/operator/electionSeconds': minimum: got 1, want 3"),
    ("operator.threads=3", "at '/operator': additional properties 'threads' not allowed"),
    ("networkPolicy.apiServerPorts={0}", "at '/networkPolicy/apiServerPorts/0': minimum"),
    ("metrics.serviceMonitor.interval=soon", "at '/metrics/serviceMonitor/interval'"),
    ("allowTemplateServiceAccount=true", "'allowTemplateServiceAccount' not allowed"),
    *(
        (f"{name}={value}", f"at '/{name.replace('.', '/')}': '{escaped}' does not match pattern")
        for name in ("serviceAccount.name", "priorityClassName", "nameOverride", "image.tag")
        for value, escaped in (
            ("a'b", r"a\'b"),
            ("a: b", "a: b"),
            ("a #b", "a #b"),
            ("Ünlü", "Ünlü"),
        )
    ),
    ("serviceAccount.name=x' || true || '", "at '/serviceAccount/name': "),
    ("templateServiceAccounts={a'b}", "at '/templateServiceAccounts/0': "),
    ("templateServiceAccounts={Trainer}", "at '/templateServiceAccounts/0': "),
    ("fullnameOverride=Big", "at '/fullnameOverride': "),
    ("topologySpread.topologyKey=a: b", "at '/topologySpread/topologyKey': "),
    ("networkPolicy.apiServerCIDRs={10.0.0.1}", "at '/networkPolicy/apiServerCIDRs/0': "),
    ("networkPolicy.apiServerCIDRs={any}", "at '/networkPolicy/apiServerCIDRs/0': "),
]
ACCEPTED = [
    "serviceAccount.name=team.operator",
    "priorityClassName=system-cluster-critical",
    "image.repository=localhost:5000/ml/elasticjob_operator",
    "topologySpread.topologyKey=topology.kubernetes.io/zone",
    "networkPolicy.apiServerCIDRs={10.0.0.1/32,fd00:1::/64,::1/128}",
    "templateServiceAccounts={trainer,team.coach}",
]


ALONE = ("scope", "namespaces", "replica", "allowTemplateServiceAccount")


def together() -> list[dict[str, str]]:
    """The wrong values by name, in few groups that Helm reads at once, as it reports each of them.

    ALONE: two of these names are reported together, or one decides whether the other is right.
    """
    groups: list[dict[str, str]] = []
    for setting, _ in REFUSED:
        name = setting.partition("=")[0]
        free = (group for group in groups if not {name, *ALONE} & group.keys())
        group = None if name in ALONE else next(free, None)
        if group is None:
            groups.append(group := {})
        group[name] = setting
    return groups


@cache
def refusal(settings: tuple[str, ...]) -> str:
    with pytest.raises(ChartError) as refused:
        rendered(*settings)
    return str(refused.value)


GROUPS = {setting: tuple(group.values()) for group in together() for setting in group.values()}


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_a_wrong_value_is_named(value: str, message: str) -> None:
    assert message in refusal(GROUPS[value])


@pytest.mark.parametrize("value", ACCEPTED)
def test_a_usual_value_is_accepted(value: str) -> None:
    assert rendered(value)


def test_a_name_like_a_number_stays_text() -> None:
    spec = one(rendered("priorityClassName=1e3"), "Deployment")["spec"]["template"]["spec"]
    assert spec["priorityClassName"] == "1e3"


def test_an_image_is_required() -> None:
    with pytest.raises(
        ChartError, match=r"image\.repository: required; set it to the operator's image"
    ):
        rendered(with_image=False)


def test_it_may_be_part_of_another_chart() -> None:
    assert rendered("global.company=x")


def test_the_defaults_pass_their_own_schema() -> None:
    assert run_helm("lint", str(CHART), "--quiet").returncode == 0
