from __future__ import annotations

import pytest

from elasticjob.agent.config import (
    ConfigError,
    read_config,
    termination_log,
)

COMMAND = ["--", "python", "train.py", "--lr", "0.1"]
POD = {
    "ELASTICJOB_NAMESPACE": "team",
    "ELASTICJOB_NAME": "demo",
    "ELASTICJOB_UID": "job-uid",
    "ELASTICJOB_POD_NAME": "demo-3-2",
    "ELASTICJOB_POD_UID": "pod-uid",
    "ELASTICJOB_POD_IP": "10.0.0.7",
    "ELASTICJOB_NODE_NAME": "node-1",
    "ELASTICJOB_INDEX": "3",
    "ELASTICJOB_GENERATION": "2",
    "ELASTICJOB_NPROC": "8",
    "ELASTICJOB_DIR": "/var/run/elasticjob",
    "ELASTICJOB_TOKEN_DIR": "/var/run/secrets/elasticjob",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}


def test_a_pod_of_the_operator() -> None:
    config = read_config(POD, COMMAND)
    assert (config.job, config.index, config.generation, config.workers) == ("demo", 3, 2, 8)
    assert (config.api_host, config.api_port) == ("10.96.0.1", 443)
    assert config.command == ("python", "train.py", "--lr", "0.1")
    assert config.environment == POD
    assert not config.shares_network


@pytest.mark.parametrize("name", ["ELASTICJOB_SHARED_NETWORK", "ELASTICJOB_HOST_NETWORK"])
@pytest.mark.parametrize(("value", "shares"), [("1", True), ("0", False), ("", False)])
def test_a_shared_network(name: str, value: str, shares: bool) -> None:
    assert read_config({**POD, name: value}, COMMAND).shares_network is shares


@pytest.mark.parametrize("address", ["pod-3.team.svc", "10.0.0.7 ", "10.0.0.7/24"])
def test_the_address_of_the_pod_is_an_ip_address(address: str) -> None:
    """Other agents read it from this agent's Lease, and accept nothing else."""
    with pytest.raises(ConfigError, match=r"ELASTICJOB_POD_IP is '.*', must be an IP address"):
        read_config({**POD, "ELASTICJOB_POD_IP": address}, COMMAND)


def test_every_fault_is_named_at_once() -> None:
    broken = {**POD, "ELASTICJOB_NPROC": "auto", "ELASTICJOB_INDEX": "-1"}
    del broken["ELASTICJOB_POD_IP"]
    with pytest.raises(ConfigError) as caught:
        read_config(broken, ["train.py"])
    assert str(caught.value) == (
        "ELASTICJOB_POD_IP is not set; "
        "ELASTICJOB_INDEX is '-1', must be a whole number from 0; "
        "ELASTICJOB_NPROC is 'auto', must be a whole number from 1; "
        "the arguments must be `-- COMMAND ...`: create the pod through an ElasticJob"
    )


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "/dev/termination-log"),
        ({"ELASTICJOB_TERMINATION_LOG": ""}, "/dev/termination-log"),
        ({"ELASTICJOB_TERMINATION_LOG": "/tmp/log"}, "/tmp/log"),
    ],
)
def test_the_termination_message_is_where_kubernetes_reads_it(
    environment: dict[str, str], path: str
) -> None:
    assert termination_log(environment) == path


@pytest.mark.parametrize("arguments", [[], ["--"], ["python", "train.py"]])
def test_a_command_is_needed(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="-- COMMAND"):
        read_config(POD, arguments)


def test_the_name_must_match_the_index() -> None:
    with pytest.raises(ConfigError, match="ELASTICJOB_POD_NAME is 'demo-3-1', must be 'demo-3-2'"):
        read_config({**POD, "ELASTICJOB_POD_NAME": "demo-3-1"}, COMMAND)
