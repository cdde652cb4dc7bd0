"""An API server with etcd and kube-controller-manager on the loopback interface, for one command.

No root, no nodes, no scheduler: what the contract tests need, ready in seconds. All processes end
with this program, also when it is killed.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev.cluster.control_plane.flags import Placement
from dev.cluster.control_plane.servers import ControlPlane
from dev.cluster.options import Options
from dev.cluster.processes import Processes, end, marked
from dev.cluster.progress import Progress
from dev.cluster.shell import run_through

ADDRESS = "127.0.0.1"
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""util-linux: the kernel kills the program when its starter dies, also by kill -9."""


def free_ports() -> tuple[int, int]:
    """Return a port for the API server, and the first of two in a row for etcd."""
    while True:
        with ExitStack() as stack:
            api = stack.enter_context(socket.socket())
            first = stack.enter_context(socket.socket())
            second = stack.enter_context(socket.socket())
            api.bind((ADDRESS, 0))
            first.bind((ADDRESS, 0))
            try:
                second.bind((ADDRESS, first.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return api.getsockname()[1], first.getsockname()[1]


@contextmanager
def bare(hyperkube: Path, options: Options, progress: Progress) -> Iterator[Path]:
    """Run an API server inside the block; gives the administrator's kubeconfig."""
    with tempfile.TemporaryDirectory(prefix="elasticjob-bare-") as directory:
        run = Path(directory)
        api_port, etcd_port = free_ports()
        placement = Placement(run, hyperkube, (ADDRESS,), api_port, etcd_port, has_nodes=False)
        plane = ControlPlane(placement, options, Processes(run), run / "kubeconfig", WITH_US)
        try:
            plane.up()
            progress.done(f"kube-apiserver ready at {placement.url}")
            yield plane.admin
        finally:
            end(list(marked(run)))


def run_bare(hyperkube: Path, options: Options, command: Sequence[str], progress: Progress) -> int:
    """Run a command with CONTRACT_KUBECONFIG and KUBECONFIG set; returns its exit code."""
    with bare(hyperkube, options, progress) as kubeconfig:
        environ = {**os.environ, "CONTRACT_KUBECONFIG": str(kubeconfig)}
        environ["KUBECONFIG"] = str(kubeconfig)
        return run_through(command, environ)
