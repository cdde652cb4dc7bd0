"""The local mode as a whole: API server, kubelet, and the operator as a pod."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from elasticjob.local.api.faults import Faults
from elasticjob.local.api.objects.builtins import NAMESPACES, PODS
from elasticjob.local.api.server import RunningServer, serve
from elasticjob.local.directories import locked_root
from elasticjob.local.node.kubelet import DEFAULT_PATH, MAX_PODS, Kubelet
from elasticjob.local.node.pod.container import RestartDelay, restart_delay_s
from elasticjob.local.operator import SYSTEM_NAMESPACE, operator_pod


@dataclass(frozen=True)
class Local:
    """The running parts. The operator is a pod."""

    server: RunningServer
    kubelet: Kubelet


@asynccontextmanager
async def up(
    root: Path,
    *,
    operator: Sequence[str] = (),
    port: int = 0,
    python: Path = Path(sys.executable),
    host_path: str = DEFAULT_PATH,
    max_pods: int = MAX_PODS,
    delay_s: RestartDelay = restart_delay_s,
    faults: Faults | None = None,
) -> AsyncIterator[Local]:
    """Run the local mode until the context ends, then end every process.

    `operator` is the command of the operator, without `--kubeconfig FILE`, which is added. If it is
    empty, no operator runs. Raises RootError if the directory `root` is not safe or is in use.
    """
    with locked_root(root) as root:
        async with serve(root, port=port, faults=faults) as server:
            kubelet = Kubelet(
                server.store,
                root / "pods",
                port=urlsplit(server.url).port or 0,
                mint=server.mint,
                python=python,
                host_path=host_path,
                max_pods=max_pods,
                delay_s=delay_s,
            )
            await kubelet.start()
            server.serve_logs(kubelet.logs)
            try:
                if operator:
                    server.store.create(NAMESPACES, "", {"metadata": {"name": SYSTEM_NAMESPACE}})
                    command = [*operator, "--kubeconfig", str(server.operator_kubeconfig)]
                    server.store.create(PODS, SYSTEM_NAMESPACE, operator_pod(command))
                yield Local(server, kubelet)
            finally:
                await kubelet.close()
