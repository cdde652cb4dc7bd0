"""Requests for single objects of a job, each by its name: read, delete, and create or replace."""

from __future__ import annotations

import logging

from elasticjob.controller import kube
from elasticjob.controller.act import existing
from elasticjob.controller.kube import (
    AlreadyExistsError,
    Api,
    ConflictError,
    NotFoundError,
    RefusedError,
    Resource,
)
from elasticjob.controller.observe.parse import Job
from elasticjob.wire.codec import Json

TRIES = 4  # as another client may create or change an object between a read and a write of it

log = logging.getLogger(__name__)


class Objects:
    """The objects of jobs by name."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get(self, resource: Resource, job: Job, name: str) -> Json | None:
        """The object of this name in the namespace of the job, if it exists."""
        try:
            return await self._api.get(resource, job.namespace, name)
        except NotFoundError:
            return None

    async def delete(self, resource: Resource, job: Job, name: str, uid: str) -> None:
        """Delete an object, if it still exists with this UID."""
        try:
            await self._api.delete(resource, job.namespace, name, uid)
        except (NotFoundError, ConflictError):
            pass

    async def ensure(
        self, job: Job, resource: Resource, body: Json, found: Json | None = None
    ) -> bool:
        """Create an object, in place of one that differs: a job of this name left it, or a user
        has changed it. found: the object of this name, if it has just been read. Returns False if
        it exists.

        An object without the operator's labels is not used: else a user who may create jobs could
        run them with the rights of another account, by choosing the name of the job. It is not
        deleted either, as it may be a user's.
        """
        name = body["metadata"]["name"]
        what = f"the {body['kind']} {name}"
        for _ in range(TRIES):
            if found is None:
                try:
                    await self._api.create(resource, job.namespace, body)
                    return True
                except AlreadyExistsError:
                    found = await self.get(resource, job, name)
            if found is None:
                continue
            fault = existing.fault(body, found)
            if not fault:
                return False
            what = f"the {body['kind']} {name} {fault}"
            if not existing.may_delete(body, found):
                raise RefusedError(f"{what}: {_cure(resource)}")
            log.info("%s: delete it", what)
            await self.delete(resource, job, name, found["metadata"]["uid"])
            found = None
        raise RefusedError(
            f"{what}, and is still there after its deletion: remove its finalizers, or stop what"
            " creates it"
        )


def _cure(resource: Resource) -> str:
    """How to free the name of an object that the operator must not delete."""
    if resource == kube.CONFIG_MAPS:
        return "delete it"
    return "delete it, or give the job another name"
