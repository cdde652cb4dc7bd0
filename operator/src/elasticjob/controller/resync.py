"""Lists of everything, every few minutes, to find what the watches missed.

kopf does not deliver deletions that happened while its watch was down, and a watch may fail without
an error. Each collection is listed in pages, and jobs whose objects differ from the cache are
reconciled: a handful of requests, however many jobs exist.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta

from structlog.contextvars import bound_contextvars

from elasticjob.controller import kube
from elasticjob.controller.act import manifests
from elasticjob.controller.kube import (
    Api,
    ConflictError,
    NotFoundError,
    Page,
    RefusedError,
    Resource,
)
from elasticjob.controller.observe.agent_leases import AgentLeases, key_of
from elasticjob.controller.observe.key import Key
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.plan.memory import after_resync
from elasticjob.controller.watch.cache import WATCHED, Cache
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.lease import AgentLease

AGENT_LEASES = f"{names.LABEL_LEASE}={names.LEASE_AGENT}"
OLD_AGENTS_AFTER = timedelta(hours=1)

log = logging.getLogger(__name__)


async def compare(api: Api, namespaces: Iterable[str], cache: Cache) -> dict[Resource, set[Key]]:
    """List the watched objects into the cache. Returns the keys that this changed, by resource."""
    changed: dict[Resource, set[Key]] = {}
    for resource, selector in WATCHED.items():
        listing, versions = cache.listing(resource), list[int]()
        async for page in _pages(api, resource, namespaces, selector):
            listing.add(page.items)
            versions.append(int(page.version))
        changed[resource] = listing.end(str(min(versions)))
    return changed


async def find_orphans(
    api: Api, namespaces: Iterable[str], cache: Cache, memories: dict[Key, Memory]
) -> set[Key]:
    """List the Leases of agents, which no watch delivers, and remember those without a living pod.

    Returns the keys of the jobs that have some.
    """
    known = dict(memories)  # a pass may change, add and remove some meanwhile
    seen = {key: AgentLeases(_identity(key, each.job_uid)) for key, each in known.items()}
    async for page in _pages(api, kube.LEASES, namespaces, AGENT_LEASES):
        for body in page.items:
            key = cache.unreadable.read(kube.LEASES, body, key_of)
            if key in seen and (fault := seen[key].add(body)):
                cache.unreadable.note(kube.LEASES, body, fault)
    orphaned = set[Key]()
    for key, before in known.items():
        found, memory = seen[key], memories.get(key)
        if found.ignored:
            with bound_contextvars(job=str(key)):
                log.warning("%s", found.log_line)
        if memory is None or memory.job_uid != before.job_uid:
            continue  # the job is gone
        living = (x.pod for x in found.found if _lives(cache, key, x))
        memory = after_resync(memory, before, found.found, living, found.unreadable)
        memories[key] = memory
        if memory.orphans:
            orphaned.add(key)
    return orphaned


async def delete_old_agents(
    api: Api, namespaces: Iterable[str], cache: Cache, current_agent: str, at: datetime
) -> None:
    """Delete the ConfigMaps of agents that no job runs."""
    used = {_agent_of(job) for job in cache.jobs()} | {current_agent}
    kept = {manifests.agent_config_map_name(agent_hash) for agent_hash in used}

    def is_old(body: Json) -> bool:
        meta = body["metadata"]
        is_agent = manifests.is_agent_config_map_name(meta["name"]) and meta["name"] not in kept
        is_gone = "deletionTimestamp" in meta
        created_at = datetime.fromisoformat(meta["creationTimestamp"])
        return is_agent and not is_gone and at - created_at >= OLD_AGENTS_AFTER

    selector = manifests.AGENT_SELECTOR
    async for page in _pages(api, kube.CONFIG_MAPS, namespaces, selector, metadata=True):
        for body in page.items:
            if cache.unreadable.read(kube.CONFIG_MAPS, body, is_old):
                await _delete_agent(api, body["metadata"])


async def _delete_agent(api: Api, meta: Json) -> None:
    name, namespace = meta["name"], meta["namespace"]
    try:
        await api.delete(kube.CONFIG_MAPS, namespace, name, meta["uid"])
        log.info("%s: deleted agent %s, which no job runs", namespace, name)
    except (NotFoundError, ConflictError):
        pass
    except RefusedError as error:
        log.warning("cannot delete agent %s: %s", name, error)


def _agent_of(job: Json) -> str:
    """The hash of the agent that the pods of a job run; empty if the job has ended."""
    status = job.get("status") or {}
    return "" if status.get("completionTime") else str(status.get("agentHash") or "")


async def _pages(
    api: Api, resource: Resource, namespaces: Iterable[str], selector: str, metadata: bool = False
) -> AsyncIterator[Page]:
    """The pages of all namespaces. The caller keeps none: objects of users may be large."""
    for namespace in namespaces:
        async for page in api.list(resource, namespace, selector, metadata):
            yield page


def _identity(key: Key, uid: str) -> leases.JobIdentity:
    return leases.JobIdentity(key.namespace, key.name, uid)


def _lives(cache: Cache, key: Key, lease: AgentLease) -> bool:
    entry = cache.entry(key)
    pod = entry.pods.get(lease.name) if entry else None
    return pod is not None and pod.living
