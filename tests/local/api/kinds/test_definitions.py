"""CustomResourceDefinitions: creation, validation and deletion."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from elasticjob.local.api.kinds.definitions import Definitions
from elasticjob.local.api.objects.builtins import BUILTINS, CRDS, NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.store import Store

WIDGETS: dict[str, Any] = {
    "metadata": {"name": "widgets.test.example"},
    "spec": {
        "group": "test.example",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
            }
        ],
    },
}
KEY = ("test.example", "widgets")


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    Definitions(store)
    store.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    return store


def test_creation_establishes_and_serves_a_definition(store: Store) -> None:
    created = store.create(CRDS, "", WIDGETS)
    conditions = {item["type"]: item["status"] for item in created["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert created["spec"]["names"]["listKind"] == "WidgetList"
    widgets = store.resources[KEY]
    assert (widgets.singular, widgets.short_names) == ("widget", ("wi",))
    assert (widgets.subresources, widgets.selectable) == (("status", "scale"), ("spec.color",))
    store.create(widgets, "default", {"metadata": {"name": "w"}})


def test_a_changed_schema_is_served_at_once(store: Store) -> None:
    store.create(CRDS, "", WIDGETS)

    def change(definition: dict[str, Any]) -> dict[str, Any]:
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {"type": "array"}
        return definition

    store.update(CRDS, "", "widgets.test.example", change)
    assert store.resources[KEY].schema == {"type": "array"}


def test_a_deleted_definition_is_removed_after_its_last_object(store: Store) -> None:
    store.create(CRDS, "", WIDGETS)
    widgets = store.resources[KEY]
    store.create(widgets, "default", {"metadata": {"name": "free"}})
    held = {"metadata": {"name": "held", "finalizers": ["test.example/hold"]}}
    store.create(widgets, "default", held)
    store.delete(CRDS, "", "widgets.test.example")
    assert [obj["metadata"]["name"] for obj in store.list(widgets)] == ["held"]
    assert KEY in store.resources
    store.update(widgets, "default", "held", lambda obj: {**obj, "metadata": {"finalizers": []}})
    assert store.list(CRDS) == []
    assert KEY not in store.resources


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("metadata", "name"), "gadgets.test.example", "metadata.name"),
        (("spec", "group"), "", "spec.group"),
        (("spec", "names", "kind"), "", "spec.names.kind"),
        (("spec", "versions", 0, "storage"), False, "spec.versions"),
        (("spec", "versions", 0, "schema"), {}, "spec.versions[0].schema.openAPIV3Schema"),
    ],
)
def test_invalid_definitions_are_refused(
    store: Store, path: tuple[Any, ...], value: Any, field: str
) -> None:
    wrong = copy.deepcopy(WIDGETS)
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ApiError) as caught:
        store.create(CRDS, "", wrong)
    assert caught.value.code == 422
    assert field in {cause["field"] for cause in caught.value.details["causes"]}
