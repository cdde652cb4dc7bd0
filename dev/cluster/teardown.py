"""Remove a cluster: everything that `up` made, and that its nodes made since.

Each kind of object has its mark, so `down` finds all of them, also after a kill and
without the recorded state: processes by their environment and their cgroups, cgroups by their name,
namespaces and interfaces by their alias.
"""

from __future__ import annotations

import shutil

from dev.cluster import prerequisites
from dev.cluster.cache import Cache
from dev.cluster.errors import ClusterError
from dev.cluster.nodes.cgroups import Cgroups, cgroup_name
from dev.cluster.nodes.network import Network
from dev.cluster.options import Options
from dev.cluster.processes import end, marked
from dev.cluster.progress import Progress


def down(cache: Cache, progress: Progress) -> None:
    """Remove everything, and check that nothing is left."""
    prerequisites.check_root()
    cgroups = Cgroups(cgroup_name(cache.run))
    network = Network(str(cache.run), Options())
    recorded, unmount = cache.record.exists(), cache.netns_was_no_mount.exists()
    # first: without our network its address may be another server's
    cache.kubeconfig.unlink(missing_ok=True)
    for name in cgroups.nodes():
        cgroups.freeze(name, False)  # a frozen process does not end
    processes = [*marked(cache.run), *cgroups.processes()]
    end(processes)
    end(cgroups.processes())  # started by the first ones meanwhile
    cgroups.remove()
    network.down(recorded, unmount)
    shutil.rmtree(cache.run, ignore_errors=True)
    found = left(cache, cgroups, network)
    if found:
        raise ClusterError(f"not removed: {', '.join(found)}. Cure: make cluster-down again")
    progress.done("down" if recorded or processes else "no cluster was up")


def left(cache: Cache, cgroups: Cgroups, network: Network) -> list[str]:
    """Describe everything that still has this cluster's marks."""
    return [
        *(f"process {who.pid}" for who in (*marked(cache.run), *cgroups.processes())),
        *(f"cgroup {path}" for path in cgroups.left()),
        *(f"network namespace {name}" for name in network.mine(recorded=False)),
        *([f"interface {network.interface()}"] if network.interface() else []),
        *([str(cache.run)] if cache.run.exists() else []),
    ]
