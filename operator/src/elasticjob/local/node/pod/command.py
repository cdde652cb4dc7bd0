"""The process that runs a container: its command line, environment and directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.pod import volumes
from elasticjob.local.node.pod.env import arguments, environment
from elasticjob.local.node.processes import MARKER, ProcessSpec


def process_spec(
    pod: Object, container: Object, root: Path, env: Mapping[str, str], log: Path, message: Path
) -> ProcessSpec:
    """The process of one run. `root` is the pod's directory, `env` the environment of every pod.

    Values are expanded before their paths are replaced, so that each path is replaced once: a real
    path may itself begin with a mountPath.
    """
    given = {**env, "HOME": str(root / "home"), "HOSTNAME": pod["metadata"]["name"]}
    values = environment(pod, container, given)
    paths = volumes.path_map(container, root / "v", message)
    own = {entry["name"]: paths.real(values[entry["name"]]) for entry in container.get("env", ())}
    working_directory = container.get("workingDir")
    return ProcessSpec(
        argv=[paths.real(text) for text in arguments(container, values)],
        env={**values, **own, MARKER: env[MARKER]},
        cwd=paths.real(working_directory) if working_directory else str(root / "home"),
        log=str(log),
    )
