"""The agent's configuration, from the environment variables that the operator sets in the pod.

A value that is missing or wrong is a set-up failure; the error names all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elasticjob.wire.address import is_address
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.names import pod_name

POD_UID = "ELASTICJOB_POD_UID"
ROUND = "ELASTICJOB_ROUND"


class ConfigError(Exception):
    """Variables or arguments are missing or wrong; the text names each of them."""


@dataclass(frozen=True)
class Config:
    """The configuration of one agent."""

    namespace: str
    job: str
    job_uid: str
    pod: str
    pod_uid: str
    address: str  # IP address of the pod
    node: str
    directory: str  # of this agent alone, for error and progress files
    token_directory: str
    api_host: str
    api_port: int
    index: int
    generation: int
    workers: int
    command: tuple[str, ...]  # of each worker
    shares_network: bool  # with other pods: hostNetwork, or the local mode
    environment: Mapping[str, str]  # of the container; the workers inherit it
    cgroup_directory: str = "/sys/fs/cgroup"  # empty: other pods share these control groups


def termination_log(environment: Mapping[str, str]) -> str:
    """The path of the file for the termination message; by default that of Kubernetes."""
    return environment.get("ELASTICJOB_TERMINATION_LOG") or "/dev/termination-log"


def read_config(environment: Mapping[str, str], arguments: Sequence[str]) -> Config:
    """Read the configuration. Raises ConfigError, one line with all faults."""
    reader = _Reader(environment, [])
    config = Config(
        namespace=reader.text("ELASTICJOB_NAMESPACE"),
        job=reader.text("ELASTICJOB_NAME"),
        job_uid=reader.text("ELASTICJOB_UID"),
        pod=reader.text("ELASTICJOB_POD_NAME"),
        pod_uid=reader.text(POD_UID),
        address=reader.address("ELASTICJOB_POD_IP"),
        node=reader.text("ELASTICJOB_NODE_NAME"),
        directory=reader.text("ELASTICJOB_DIR"),
        token_directory=reader.text("ELASTICJOB_TOKEN_DIR"),
        api_host=reader.text("KUBERNETES_SERVICE_HOST"),
        api_port=reader.number("KUBERNETES_SERVICE_PORT", 1),
        index=reader.number("ELASTICJOB_INDEX", 0),
        generation=reader.number("ELASTICJOB_GENERATION", 0),
        workers=reader.number("ELASTICJOB_NPROC", 1),
        command=reader.command(arguments),
        shares_network=reader.flag("ELASTICJOB_SHARED_NETWORK", "ELASTICJOB_HOST_NETWORK"),
        environment=environment,
        cgroup_directory=environment.get("ELASTICJOB_CGROUP_DIR", "/sys/fs/cgroup"),
    )
    expected = pod_name(config.job, config.index, config.generation)
    if not reader.faults and config.pod != expected:
        reader.faults.append(f"ELASTICJOB_POD_NAME is {config.pod!r}, must be {expected!r}")
    if reader.faults:
        raise ConfigError("; ".join(reader.faults) + ": create the pod through an ElasticJob")
    return config


@dataclass(frozen=True)
class _Reader:
    """Reads variables and arguments, and collects their faults."""

    environment: Mapping[str, str]
    faults: list[str]

    def text(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            self.faults.append(f"{name} is not set")
        return value

    def address(self, name: str) -> str:
        value = self.text(name)
        if value and not is_address(value):
            self.faults.append(f"{name} is {value!r}, must be an IP address")
        return value

    def number(self, name: str, lowest: int) -> int:
        value = self.environment.get(name, "")
        if value.isdigit() and int(value) >= lowest:
            return int(value)
        self.faults.append(f"{name} is {value!r}, must be a whole number from {lowest}")
        return lowest

    def flag(self, *names: str) -> bool:
        return any(self.environment.get(name) == "1" for name in names)

    def command(self, arguments: Sequence[str]) -> tuple[str, ...]:
        if len(arguments) < 2 or arguments[0] != "--":
            self.faults.append("the arguments must be `-- COMMAND ...`")
            return ()
        return tuple(arguments[1:])
