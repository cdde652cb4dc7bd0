"""An API server with etcd and kube-controller-manager on the loopback interface, for one command.

No root, no nodes, no scheduler: what the contract tests need, up in seconds. Everything ends with
this program, however it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev.cluster.command_lines import Site
from dev.cluster.control_plane import ControlPlane
from dev.cluster.options import Options
from dev.cluster.processes import Processes, end, marked
from dev.cluster.progress import Progress

ADDRESS = "127.0.0.1"
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""util-linux: the kernel kills the program when its starter dies, also by kill -9."""


def free_ports() -> tuple[int, int]:
    """A port for the API server, and the first of two in a row for etcd."""
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
    """Gives the administrator's kubeconfig of an API server that runs inside the block."""
    with tempfile.TemporaryDirectory(prefix="elasticjob-bare-") as directory:
        run = Path(directory)
        api_port, etcd_port = free_ports()
        site = Site(run, hyperkube, (ADDRESS,), api_port, etcd_port, nodes_follow=False)
        plane = ControlPlane(site, options, Processes(run), run / "kubeconfig", WITH_US)
        try:
            plane.up()
            progress.done(f"kube-apiserver ready at {site.url}")
            yield plane.admin
        finally:
            end(list(marked(run)))


def run_bare(hyperkube: Path, options: Options, command: Sequence[str], progress: Progress) -> int:
    """Run a command with CONTRACT_KUBECONFIG and KUBECONFIG set; its exit code."""
    with bare(hyperkube, options, progress) as kubeconfig:
        environ = {**os.environ, "CONTRACT_KUBECONFIG": str(kubeconfig)}
        environ["KUBECONFIG"] = str(kubeconfig)
        return subprocess.run(command, env=environ).returncode
