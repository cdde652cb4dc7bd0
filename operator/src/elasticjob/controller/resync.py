"""What the watches lost, found by listing everything now and then.

kopf never tells of deletions that happened while its watch was down, and a watch may die unseen. So
every few minutes each collection is listed once, in pages, and what differs from the cache is
worked on: a handful of requests, however many jobs there are.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from structlog.contextvars import bound_contextvars

from elasticjob.controller import kube
from elasticjob.controller.act import manifests
from elasticjob.controller.kube import Api, ConflictError, Json, NotFoundError, Resource
from elasticjob.controller.observe import agent_leases
from elasticjob.controller.observe.key import Key
from elasticjob.controller.plan.memory import Memory
from elasticjob.controller.watch.cache import WATCHED, Cache
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.lease import AgentLease

AGENT_LEASES = f"{names.LABEL_LEASE}={names.LEASE_AGENT}"
OLD_AGENTS_AFTER = timedelta(hours=1)

log = logging.getLogger(__name__)


async def compare(api: Api, namespaces: Iterable[str], cache: Cache) -> dict[Resource, set[Key]]:
    """List what is watched and put it into the mirror; the keys for which that changed anything."""
    changed: dict[Resource, set[Key]] = {}
    for resource, selector in WATCHED.items():
        bodies, version = await _all(api, resource, namespaces, selector)
        changed[resource] = cache.replace(resource, bodies, version)
    return changed


async def find_orphans(
    api: Api, namespaces: Iterable[str], cache: Cache, memories: dict[Key, Memory]
) -> set[Key]:
    """List the agents' Leases, which nobody watches here, and remember those of no living pod."""
    bodies, _ = await _all(api, kube.LEASES, namespaces, AGENT_LEASES)
    by_uid: dict[str, list[Json]] = defaultdict(list)
    for body in bodies:
        if job_uid := cache.unreadable.read(kube.LEASES, body, leases.job_uid_of):
            by_uid[job_uid].append(body)
    for key, memory in memories.items():
        job = leases.Job(key.namespace, key.name, memory.job_uid)
        mine, ignored = agent_leases.of_job(by_uid.get(memory.job_uid, ()), job)
        if ignored:
            with bound_contextvars(job=str(key)):
                log.warning("%s", ignored)
        memory.note_listed(mine, (x.pod for x in mine if _lives(cache, key, x)))
    return {key for key, memory in memories.items() if memory.orphans}


async def delete_old_agents(
    api: Api, namespaces: Iterable[str], cache: Cache, present: str, at: datetime
) -> None:
    """Delete the ConfigMaps of agents that no job runs any more."""
    used = {_agent_of(job) for job in cache.jobs()} | {present}
    kept = {manifests.agent_config_map_name(agent_hash) for agent_hash in used}
    bodies, _ = await _all(api, kube.CONFIG_MAPS, namespaces, manifests.AGENT_SELECTOR)
    for body in bodies:
        meta = body["metadata"]
        new_agent = datetime.fromisoformat(meta["creationTimestamp"])
        if meta["name"] in kept or at - new_agent < OLD_AGENTS_AFTER:
            continue
        try:
            await api.delete(kube.CONFIG_MAPS, meta["namespace"], meta["name"], meta["uid"])
            log.info("%s: deleted agent %s, which no job runs", meta["namespace"], meta["name"])
        except (NotFoundError, ConflictError):
            pass


def _agent_of(job: Json) -> str:
    """The agent that a job's pods run; empty if it has ended."""
    status = job.get("status") or {}
    return "" if status.get("completionTime") else str(status.get("agentHash") or "")


async def _all(
    api: Api, resource: Resource, namespaces: Iterable[str], selector: str
) -> tuple[list[Json], str]:
    """All objects, and the lowest version that they were listed at."""
    bodies: list[Json] = []
    versions: list[int] = []
    for namespace in namespaces:
        async for page in api.list(resource, namespace, selector):
            bodies += page.items
            versions.append(int(page.version))
    return bodies, str(min(versions))


def _lives(cache: Cache, key: Key, lease: AgentLease) -> bool:
    entry = cache.entry(key)
    pod = entry.pods.get(lease.name) if entry else None
    return pod is not None and pod.living
