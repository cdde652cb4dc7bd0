"""The ports of the workers' store when pods share one network."""

from __future__ import annotations

import binascii
import socket
from collections.abc import Callable

from elasticjob.wire.round import DEFAULT_PORT_BASE, PORTS_PER_JOB

LOWEST = 20000
BLOCKS = 625  # of 16 ports: 20000-29999, below the ephemeral range
TRIES = 32


def port_base(job_uid: str, shares_network: bool, is_free: Callable[[int], bool]) -> int:
    """Return the first of this agent's 16 ports. is_free: whether a port is free.

    A pod with a network namespace uses 29500. On a shared network the job's UID selects the first
    block, so that two jobs seldom collide; a block in use is skipped. A later collision costs one
    round, because the next round has another port.
    """
    if not shares_network:
        return DEFAULT_PORT_BASE
    first = binascii.crc32(job_uid.encode()) % BLOCKS
    bases = [LOWEST + PORTS_PER_JOB * ((first + i) % BLOCKS) for i in range(TRIES)]
    free = (base for base in bases if all(map(is_free, range(base, base + PORTS_PER_JOB))))
    return next(free, bases[0])


def is_port_free(port: int) -> bool:
    """Whether no socket listens on a port. SO_REUSEADDR keeps simultaneous probes apart."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError:
        return False
    return True
