"""Role-based access: what the Roles and bindings in the store allow an account to do."""

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
    """Who sends a request."""

    name: str
    groups: tuple[str, ...] = ()


class Rbac:
    """Answers whether a user may do something; remembers until a role or binding changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decisions: dict[tuple[User, Target], bool] = {}
        store.listeners.append(self._forget)

    def allows(self, user: User, target: Target) -> bool:
        """Whether some rule that is bound to the user covers the target."""
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
        """The rules of all bindings that name the user: of the whole cluster, of the namespace."""
        bindings = self._store.list(CLUSTERROLEBINDINGS)
        if namespace:
            bindings = bindings + self._store.list(ROLEBINDINGS, namespace)
        for binding in bindings:
            if any(names(subject, user) for subject in binding.get("subjects", ())):
                yield from self._role(binding).get("rules", ())

    def _role(self, binding: Object) -> Object:
        reference = binding["roleRef"]
        if reference.get("kind") == "Role":
            place = binding["metadata"].get("namespace", "")
            return self._store.find(ROLES, place, reference["name"]) or {}
        return self._store.find(CLUSTERROLES, "", reference["name"]) or {}

    def _forget(self, resource: Resource, event: Event) -> None:
        if resource in RBAC_RESOURCES:
            self._decisions.clear()


def names(subject: Object, user: User) -> bool:
    """Whether a binding's subject is the user."""
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace')}:{name}"
    return name in user.groups if kind == "Group" else kind == "User" and name == user.name


def covers(rule: Object, target: Target) -> bool:
    """Whether one rule allows the target.

    A rule with resourceNames covers a create never (there is no name to judge yet), a list or a
    watch only when a field selector pins the name.
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
