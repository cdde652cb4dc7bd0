"""Lists of everything, every few minutes, to find what the watches missed.

kopf does not deliver deletions that happened while its watch was down, and a watch may fail without
an error. Each collection is listed in pages, and jobs whose objects differ from the cache are
reconciled: a handful of requests, however many jobs exist.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from structlog.contextvars import bound_contextvars

from elasticjob.controller import kube
from elasticjob.controller.act import manifests
from elasticjob.controller.kube import Api, ConflictError, NotFoundError, Resource
from elasticjob.controller.observe import agent_leases
from elasticjob.controller.observe.key import Key
from elasticjob.controller.plan.memory import Memory
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
        bodies, version = await _all(api, resource, namespaces, selector)
        changed[resource] = cache.replace(resource, bodies, version)
    return changed


async def find_orphans(
    api: Api, namespaces: Iterable[str], cache: Cache, memories: dict[Key, Memory]
) -> set[Key]:
    """List the Leases of agents, which no watch delivers, and remember those without a living pod.

    Returns the keys of the jobs that have some.
    """
    bodies, _ = await _all(api, kube.LEASES, namespaces, AGENT_LEASES)
    by_key: dict[Key, list[Json]] = defaultdict(list)
    for body in bodies:
        if key := cache.unreadable.read(kube.LEASES, body, agent_leases.key_of):
            by_key[key].append(body)
    for key, memory in memories.items():
        job = leases.JobIdentity(key.namespace, key.name, memory.job_uid)
        found, ignored = agent_leases.of_job(by_key.get(key, ()), job)
        if ignored:
            with bound_contextvars(job=str(key)):
                log.warning("%s", ignored)
        memory.note_listed(found, (x.pod for x in found if _lives(cache, key, x)))
    return {key for key, memory in memories.items() if memory.orphans}


async def delete_old_agents(
    api: Api, namespaces: Iterable[str], cache: Cache, current_agent: str, at: datetime
) -> None:
    """Delete the ConfigMaps of agents that no job runs."""
    used = {_agent_of(job) for job in cache.jobs()} | {current_agent}
    kept = {manifests.agent_config_map_name(agent_hash) for agent_hash in used}
    bodies, _ = await _all(api, kube.CONFIG_MAPS, namespaces, manifests.AGENT_SELECTOR)
    for body in bodies:
        meta = body["metadata"]
        created_at = datetime.fromisoformat(meta["creationTimestamp"])
        is_agent = meta["name"].startswith(manifests.agent_config_map_name(""))
        if not is_agent or meta["name"] in kept or at - created_at < OLD_AGENTS_AFTER:
            continue
        try:
            await api.delete(kube.CONFIG_MAPS, meta["namespace"], meta["name"], meta["uid"])
            log.info("%s: deleted agent %s, which no job runs", meta["namespace"], meta["name"])
        except (NotFoundError, ConflictError):
            pass


def _agent_of(job: Json) -> str:
    """The hash of the agent that the pods of a job run; empty if the job has ended."""
    status = job.get("status") or {}
    return "" if status.get("completionTime") else str(status.get("agentHash") or "")


async def _all(
    api: Api, resource: Resource, namespaces: Iterable[str], selector: str
) -> tuple[list[Json], str]:
    """All objects, and the lowest version at which a namespace was listed."""
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
