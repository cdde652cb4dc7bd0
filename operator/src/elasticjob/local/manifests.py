"""Files of YAML objects, created as `kubectl create` does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from elasticjob.local import yaml_documents
from elasticjob.local.api.call import JSON, Call, Response, Target
from elasticjob.local.api.objects.builtins import NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.verbs import Verbs

DEFAULT_NAMESPACE = "default"


class ManifestError(Exception):
    """A file that cannot be used. The text is one line with the place and the reason."""


def parse(text: str | bytes, source: str) -> list[Object]:
    """The objects of a YAML file; `source` is its name in messages. Raises ManifestError."""
    try:
        documents = yaml_documents.load(text)
    except yaml_documents.YamlError as error:
        raise ManifestError(f"{source}: {error}") from None
    objects = [part for document in documents if document for part in _parts(document)]
    for position, obj in enumerate(objects, 1):
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            raise ManifestError(
                f"{source}: object {position} must have apiVersion and kind; add them"
            )
        if not isinstance(obj.get("metadata"), dict):
            raise ManifestError(
                f"{source}: object {position} ({obj['kind']}) must have metadata; add it"
            )
    if not objects:
        raise ManifestError(f"{source}: must contain an object; add one")
    return objects


def create(verbs: Verbs, objects: Iterable[Object], source: str) -> list[Object]:
    """Create the objects in order, and return them as stored. Unknown fields raise an error."""
    return [_create(verbs, obj, source) for obj in objects]


def _create(verbs: Verbs, obj: Object, source: str) -> Object:
    name = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
    where = f"{source}: {obj['kind']} {name}"
    resource = _resource(verbs, obj, where)
    namespace = obj["metadata"].get("namespace", DEFAULT_NAMESPACE) if resource.namespaced else ""
    target = Target("create", resource.group, resource.version, resource.plural, namespace)
    call = Call(
        method="POST",
        path="",
        query={"fieldValidation": "Strict"},
        content_type=JSON,
        body=json.dumps(obj).encode(),
    )
    try:
        response = verbs.perform(call, target)
    except ApiError as error:
        if resource == NAMESPACES and error.reason == "AlreadyExists":
            return verbs.store.get(NAMESPACES, "", name)
        # The message of a 422 names its object, that of a 400 does not.
        place = source if error.code == 422 else where
        raise ManifestError(f"{place}: {error.message}") from None
    assert isinstance(response, Response)
    assert isinstance(response.body, dict)
    return response.body


def _resource(verbs: Verbs, obj: Object, where: str) -> Resource:
    for resource in verbs.store.resources.values():
        if (resource.api_version, resource.kind) == (obj["apiVersion"], obj["kind"]):
            return resource
    raise ManifestError(f"{where}: {obj['apiVersion']} is not served by the local mode")


def _parts(document: Any) -> list[Any]:
    """The objects of a document, which is an object or a List of objects."""
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or ())
    return [document]
