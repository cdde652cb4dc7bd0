"""The default ServiceAccount of every namespace, and the CA that its pods trust."""

from __future__ import annotations

from elasticjob.local.api.objects.builtins import CONFIGMAPS, NAMESPACES, PODS, SERVICEACCOUNTS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store

DEFAULT_ACCOUNT = "default"
CA_CONFIGMAP = "kube-root-ca.crt"


class ServiceAccounts:
    """Creates account and CA in new namespaces, and refuses pods whose account does not exist."""

    def __init__(self, store: Store, ca: str) -> None:
        self._store = store
        self._ca = ca
        store.admission.append(self.admit)
        store.listeners.append(self._create_defaults)

    def admit(self, resource: Resource, new: Object, old: Object | None) -> Object:
        """Raise 403 as the ServiceAccount admission plugin does."""
        if resource != PODS or old is not None:
            return new
        namespace, name = new["metadata"]["namespace"], new["metadata"]["name"]
        account = new["spec"].get("serviceAccountName", DEFAULT_ACCOUNT)
        if self._store.find(SERVICEACCOUNTS, namespace, account) is None:
            message = (
                f'pods "{name}" is forbidden: error looking up service account '
                f'{namespace}/{account}: serviceaccount "{account}" not found'
            )
            raise ApiError(403, "Forbidden", message, {"name": name, "kind": "pods"})
        return new

    def _create_defaults(self, resource: Resource, event: Event) -> None:
        if resource != NAMESPACES or event.type != "ADDED":
            return
        namespace = event.object["metadata"]["name"]
        account = {"metadata": {"name": DEFAULT_ACCOUNT}}
        self._store.create(SERVICEACCOUNTS, namespace, account)
        trusted = {"metadata": {"name": CA_CONFIGMAP}, "data": {"ca.crt": self._ca}}
        self._store.create(CONFIGMAPS, namespace, trusted)
