"""What to start for a container: its command, environment and directory, as they are here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.pod import volumes
from elasticjob.local.node.pod.env import arguments, environment
from elasticjob.local.node.processes import MARKER, Order


def order(
    pod: Object, container: Object, home: Path, env: Mapping[str, str], log: Path, message: Path
) -> Order:
    """The order for one run. `pod` has its address; `env` is what the node gives every pod.

    Values are expanded first and their paths replaced afterwards, once: a real path may begin with
    what is a mountPath, and must not be taken for one.
    """
    given = {**env, "HOME": str(home / "home"), "HOSTNAME": pod["metadata"]["name"]}
    values = environment(pod, container, given)
    paths = volumes.path_map(container, home / "v", message)
    own = {entry["name"]: paths.real(values[entry["name"]]) for entry in container.get("env", ())}
    directory = container.get("workingDir")
    return Order(
        argv=[paths.real(text) for text in arguments(container, values)],
        env={**values, **own, MARKER: env[MARKER]},
        cwd=paths.real(directory) if directory else str(home / "home"),
        log=str(log),
    )
