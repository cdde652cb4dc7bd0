"""What must exist before a job's pods: its account, its RoleBinding and the agent's ConfigMap."""

from __future__ import annotations

from elasticjob.controller import kube
from elasticjob.controller.act import existing, manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.act.objects import Objects
from elasticjob.controller.kube import RefusedError
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import status

_KINDS = {"ServiceAccount": kube.SERVICE_ACCOUNTS, "RoleBinding": kube.ROLE_BINDINGS}


class Prerequisites:
    """The prerequisites of the pods of jobs."""

    def __init__(self, objects: Objects, bundle: Bundle) -> None:
        self._objects = objects
        self._bundle = bundle

    async def ensure(self, snapshot: Snapshot) -> list[str]:
        """Create what is missing, in place of what differs. Returns the rights of the agents that
        it created. Raises KubeError."""
        created: list[str] = []
        for body in manifests.rights(snapshot.job.body):
            if await self._objects.ensure(snapshot.job, _KINDS[body["kind"]], body):
                created.append(f"{body['kind']} {body['metadata']['name']}")
        await self._ensure_agent(snapshot)
        return created

    async def _ensure_agent(self, snapshot: Snapshot) -> None:
        """Create the agent's ConfigMap, which the job shares with others of its namespace."""
        job, agent_hash = snapshot.job, await self.agent_hash(snapshot)
        if agent_hash != self._bundle.hash:
            await self._hash_of_other_agent(job, agent_hash)
            return
        body = manifests.agent_config_map(job.namespace, self._bundle)
        found = await self._objects.get(kube.CONFIG_MAPS, job, body["metadata"]["name"])
        await self._objects.ensure(job, kube.CONFIG_MAPS, body, found)

    async def agent_hash(self, snapshot: Snapshot) -> str:
        """The whole hash of the agent that the next pods run. Raises RefusedError.

        Operators of the first releases recorded ten digits only. The rest comes from the ConfigMap
        once: the next pods of the job have the whole hash, and so has the status.
        """
        recorded = status.agent_hash(snapshot)
        if self._bundle.hash.startswith(recorded):
            return self._bundle.hash
        if len(recorded) == len(self._bundle.hash):
            return recorded
        return await self._hash_of_other_agent(snapshot.job, recorded)

    async def _hash_of_other_agent(self, job: Job, recorded: str) -> str:
        """The hash of the agent of another release, which this operator cannot create. Raises
        RefusedError if the ConfigMap does not contain it."""
        name = manifests.agent_config_map_name(recorded)
        found = await self._objects.get(kube.CONFIG_MAPS, job, name)
        if found is not None and (whole := existing.agent_hash(found)).startswith(recorded):
            return whole
        what = "does not exist" if found is None else "has another binaryData"
        raise RefusedError(
            f"the ConfigMap {name} with the agent of the job's pods {what}, and this operator has"
            " another agent: suspend the job, then resume it"
        )
