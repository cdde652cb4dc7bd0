"""Label and field selectors, as tables."""

from __future__ import annotations

import pytest

from elasticjob.local.api.objects import selectors
from elasticjob.local.api.objects.builtins import LEASES, PODS
from elasticjob.local.api.objects.errors import ApiError

LABELLED = {
    "metadata": {"name": "p", "labels": {"app": "a", "tier": "web", "x.io/y": "1", "e": ""}}
}
BARE = {"metadata": {"name": "q"}}


@pytest.mark.parametrize(
    ("text", "labelled", "bare"),
    [
        ("", True, True),
        ("app=a", True, False),
        ("app==a", True, False),
        ("app = a , tier=web", True, False),
        ("app=b", False, False),
        ("app!=a", False, True),
        ("app!=b", True, True),
        ("app", True, False),
        ("!app", False, True),
        ("app in (a,b)", True, False),
        ("app in (b, c)", False, False),
        ("app notin (a,b)", False, True),
        ("app in (a),tier notin (db),x.io/y", True, False),
        ("e=", True, False),
    ],
)
def test_labels(text: str, labelled: bool, bare: bool) -> None:
    match = selectors.labels(text)
    assert (match(LABELLED), match(BARE)) == (labelled, bare)


@pytest.mark.parametrize("text", ["app in a", "app>1", "=a", "app=a b", "a,,b", "app in (a"])
def test_labels_that_cannot_be_parsed(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        selectors.labels(text)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


POD = {
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {"nodeName": "local", "hostNetwork": True},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metadata.name=p", True),
        ("metadata.name==p,metadata.namespace=n", True),
        ("metadata.name!=p", False),
        ("status.phase=Running,spec.nodeName!=other", True),
        ("status.podIP=", True),
        ("spec.hostNetwork=true", True),
    ],
)
def test_fields(text: str, expected: bool) -> None:
    assert selectors.fields(text, PODS)(POD) is expected


def test_a_field_that_is_not_selectable_is_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.nodeName"):
        selectors.fields("spec.nodeName=x", LEASES)
    with pytest.raises(ApiError, match="invalid selector"):
        selectors.fields("nonsense", PODS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("metadata.name=a", "a"),
        ("status.phase=Running,metadata.name=a", "a"),
        ("metadata.name!=a", None),
        ("", None),
    ],
)
def test_the_only_name_of_a_field_selector(text: str, name: str | None) -> None:
    assert selectors.exact_name(text) == name
