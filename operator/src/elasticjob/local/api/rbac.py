"""Role-based access control by the Roles and bindings in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from elasticjob.local.api.call import Target
from elasticjob.local.api.objects.builtins import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    ROLEBINDINGS,
    ROLES,
)
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store

MASTERS = "system:masters"
RBAC_RESOURCES = (ROLES, ROLEBINDINGS, CLUSTERROLES, CLUSTERROLEBINDINGS)
CACHED_DECISIONS = 10_000


@dataclass(frozen=True)
class User:
    """The sender of a request."""

    name: str
    groups: tuple[str, ...] = ()


class Rbac:
    """The authorizer. It caches its decisions until a role or binding changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decisions: dict[tuple[User, Target], bool] = {}
        store.listeners.append(self._clear_decisions)

    def allows(self, user: User, target: Target) -> bool:
        """Whether a rule that is bound to the user covers the target."""
        if MASTERS in user.groups:
            return True
        key = (user, target)
        if key not in self._decisions:
            if len(self._decisions) >= CACHED_DECISIONS:
                self._decisions.clear()
            rules = self._rules(user, target.namespace)
            self._decisions[key] = any(covers(rule, target) for rule in rules)
        return self._decisions[key]

    def _rules(self, user: User, namespace: str) -> Iterator[Object]:
        """The rules of the bindings of the cluster and namespace that include the user."""
        bindings = self._store.list(CLUSTERROLEBINDINGS)
        if namespace:
            bindings = bindings + self._store.list(ROLEBINDINGS, namespace)
        for binding in bindings:
            if any(includes(subject, user) for subject in binding.get("subjects", ())):
                yield from self._role(binding).get("rules", ())

    def _role(self, binding: Object) -> Object:
        reference = binding["roleRef"]
        if reference.get("kind") == "Role":
            place = binding["metadata"].get("namespace", "")
            return self._store.find(ROLES, place, reference["name"]) or {}
        return self._store.find(CLUSTERROLES, "", reference["name"]) or {}

    def _clear_decisions(self, resource: Resource, event: Event) -> None:
        if resource in RBAC_RESOURCES:
            self._decisions.clear()


def includes(subject: Object, user: User) -> bool:
    """Whether the subject of a binding includes the user."""
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace')}:{name}"
    return name in user.groups if kind == "Group" else kind == "User" and name == user.name


def covers(rule: Object, target: Target) -> bool:
    """Whether one rule allows the target.

    A rule with resourceNames never covers a create, whose name is not known yet. It covers a list
    or watch only if a field selector selects one name.
    """
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    wildcards = {"*", resource} | ({f"*/{target.subresource}"} if target.subresource else set())
    allowed_names = rule.get("resourceNames")
    return (
        not {"*", target.verb}.isdisjoint(rule.get("verbs", ()))
        and not {"*", target.group}.isdisjoint(rule.get("apiGroups", ()))
        and not wildcards.isdisjoint(rule.get("resources", ()))
        and (not allowed_names or target.name in allowed_names)
    )
