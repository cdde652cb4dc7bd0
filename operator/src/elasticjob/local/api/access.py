"""Authentication by bearer tokens, and authorization of the accounts behind them.

There are three kinds of token: the user's and the operator's, which permit everything, and those of
the pods' service accounts, whose permissions come from the Roles in the store.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from elasticjob.local.api.call import Call, Target
from elasticjob.local.api.objects.builtins import PODS, SERVICEACCOUNTS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.rbac import MASTERS, Rbac, User

ADMIN = User("elasticjob-local:admin", (MASTERS, "system:authenticated"))
OPERATOR = User("elasticjob-local:operator", (MASTERS, "system:authenticated"))
OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version"})


@dataclass(frozen=True)
class BoundToken:
    """The pod and account to which a token is bound. It is valid while both exist."""

    user: User
    namespace: str
    account: str
    account_uid: str
    pod_name: str
    pod_uid: str


class Access:
    """The tokens of the server and the permissions behind them."""

    def __init__(
        self, store: Store, *, new_token: Callable[[], str] = lambda: secrets.token_urlsafe(32)
    ) -> None:
        self._store = store
        self._rbac = Rbac(store)
        self._new_token = new_token
        self.admin_token = new_token()
        self.operator_token = new_token()
        self.operator_has_called = False  # whether a request had the operator's token
        self._users = {self.admin_token: ADMIN, self.operator_token: OPERATOR}
        self._bound_tokens: dict[str, BoundToken] = {}

    def mint(self, namespace: str, service_account: str, pod_name: str, pod_uid: str) -> str | None:
        """Issue a token of the service account for one pod, valid as long as both exist; None
        without the account."""
        self._remove_invalid()
        account = self._store.find(SERVICEACCOUNTS, namespace, service_account)
        if account is None:
            return None
        user = User(
            f"system:serviceaccount:{namespace}:{service_account}",
            (
                "system:serviceaccounts",
                f"system:serviceaccounts:{namespace}",
                "system:authenticated",
            ),
        )
        token, account_uid = self._new_token(), account["metadata"]["uid"]
        self._bound_tokens[token] = BoundToken(
            user, namespace, service_account, account_uid, pod_name, pod_uid
        )
        return token

    def check(self, call: Call, target: Target | None) -> None:
        """Raise 401 without a valid token and 403 without permission. Any account may discover."""
        if call.path in OPEN_PATHS:
            return
        user = self.authenticate(call.authorization)
        if target is not None and not self._rbac.allows(user, target):
            raise forbidden(user, target)

    def authenticate(self, authorization: str) -> User:
        """The user that an Authorization header identifies. Raises 401 if there is none."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer":
            token = token.strip()
            if token in self._users:
                self.operator_has_called |= token == self.operator_token
                return self._users[token]
            bound = self._bound_tokens.get(token)
            if bound is not None and self._is_valid(bound):
                return bound.user
        raise ApiError(401, "Unauthorized", "Unauthorized")

    def _is_valid(self, bound: BoundToken) -> bool:
        pod = self._store.find(PODS, bound.namespace, bound.pod_name)
        account = self._store.find(SERVICEACCOUNTS, bound.namespace, bound.account)
        return _has_uid(account, bound.account_uid) and _has_uid(pod, bound.pod_uid)

    def _remove_invalid(self) -> None:
        self._bound_tokens = {
            token: bound for token, bound in self._bound_tokens.items() if self._is_valid(bound)
        }


def _has_uid(found: Object | None, uid: str) -> bool:
    return found is not None and found["metadata"]["uid"] == uid


def forbidden(user: User, target: Target) -> ApiError:
    """A 403 with the message by which users find the missing Role."""
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    qualified = f"{target.plural}.{target.group}" if target.group else target.plural
    subject = f'{qualified} "{target.name}"' if target.name else qualified
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {target.verb} resource "{resource}" '
        f'in API group "{target.group}" {where}'
    )
    details = {"name": target.name, "group": target.group, "kind": target.plural}
    return ApiError(403, "Forbidden", message, details)
