"""The command line: python -m dev.cluster COMMAND."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from dev.cluster.bare import run_bare
from dev.cluster.cache import Cache
from dev.cluster.cluster import Cluster, locked
from dev.cluster.errors import ClusterError
from dev.cluster.images.recipes import images, wanted
from dev.cluster.options import Options
from dev.cluster.prerequisites import prepare
from dev.cluster.programs.go_build import built
from dev.cluster.programs.go_program import HELM, HYPERKUBE, PROGRAMS
from dev.cluster.progress import Progress
from dev.cluster.teardown import down

Command = Callable[[argparse.Namespace, Cache, Progress], int]


def up(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    cluster = Cluster(cache, options(words), progress)
    with locked(cache):
        cluster.up()
    progress.print(f"export KUBECONFIG={cache.kubeconfig}")
    return 0


def take_down(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    with locked(cache):
        down(cache, progress)
    return 0


def status(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    cluster = Cluster.recorded(cache, progress)
    print("\n".join(cluster.status()), flush=True)
    if cluster.healthy():
        return kubectl(cache, progress, ["get", "nodes,pods", "--all-namespaces", "-o", "wide"])
    return 1


def make_images(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    with locked(cache):
        prepare(progress)
        images(cache, progress).make(wanted(os.environ))
        if cache.record.exists():
            Cluster.recorded(cache, progress).load_images()
    progress.done("images are up to date")
    return 0


def change(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    """Run start, kill, freeze, thaw, cut or heal for each name."""
    cluster = Cluster.recorded(cache, progress)
    changes: dict[str, Callable[[str], None]] = {
        "start": cluster.start,
        "kill": cluster.kill,
        "freeze": cluster.freeze,
        "thaw": lambda name: cluster.freeze(name, False),
        "cut": cluster.cut,
        "heal": lambda name: cluster.cut(name, False),
    }
    with locked(cache):
        for name in words.names:
            changes[words.command](name)
    return 0


def execute(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    node = next((n for n in Cluster.recorded(cache, progress).nodes if n.name == words.name), None)
    if node is None:
        raise ClusterError(f"{words.name} is not a node")
    return subprocess.run([*node.enter(), *words.words]).returncode


def build(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    for program in PROGRAMS:
        if program.name in words.names or not words.names:
            print(built(cache, program, progress))
    return 0


def bare(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    return run_bare(built(cache, HYPERKUBE, progress), options(words), words.words, progress)


def kubectl(cache: Cache, progress: Progress, words: list[str]) -> int:
    command = [str(built(cache, HYPERKUBE, progress)), "kubectl", *words]
    environ = {**os.environ, "KUBECONFIG": str(cache.kubeconfig)}
    return subprocess.run(command, env=environ).returncode


def run_kubectl(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    Cluster.recorded(cache, progress)
    return kubectl(cache, progress, words.words)


def run_helm(words: argparse.Namespace, cache: Cache, progress: Progress) -> int:
    command = [str(built(cache, HELM, progress)), *words.words]
    environ = {**os.environ, "KUBECONFIG": str(cache.kubeconfig)}
    return subprocess.run(command, env=environ).returncode


def options(words: argparse.Namespace) -> Options:
    """The cluster's options from the command line."""
    return Options(
        nodes=words.nodes,
        lan=words.lan,
        feature_gates=words.feature_gates,
        key_identifiers=not words.no_key_identifiers,
        audit=words.audit,
    )


PASSED_ON = {"kubectl": 0, "helm": 0, "exec": 1}
"""Commands whose words belong to another program, after this number of words of dev.cluster."""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    for name, run, text in (
        ("up", up, "start the cluster, or the parts that do not run"),
        ("bare", bare, "run a command with an API server without nodes; needs no root"),
    ):
        _add_options(add(name, run, text))
    commands.choices["bare"].usage = "python -m dev.cluster bare [OPTION...] -- COMMAND..."
    add("down", take_down, "remove everything that `up` made")
    add("status", status, "show what runs, and whether it is ready")
    add("images", make_images, "make the images and load them into the nodes")
    for name, text in (
        ("start", "start nodes or programs of the control plane"),
        ("kill", "kill -9; a node with everything on it"),
        ("freeze", "freeze nodes or programs"),
        ("thaw", "let frozen nodes or programs continue"),
        ("cut", "disconnect a node's network"),
        ("heal", "reconnect a node's network"),
    ):
        add(name, change, text).add_argument("names", nargs="+", metavar="NAME")
    node = add("exec", execute, "run a command on a node: exec NODE COMMAND...")
    node.add_argument("name", metavar="NODE")
    for name, run, text in (
        ("kubectl", run_kubectl, "kubectl as the cluster's administrator"),
        ("helm", run_helm, "helm as the cluster's administrator; built at first use"),
    ):
        add(name, run, text)
    names = [program.name for program in PROGRAMS]
    add("build", build, "build programs, and print their paths").add_argument(
        "names", nargs="*", choices=[*names, []], metavar="PROGRAM"
    )
    return top


def _add_options(command: argparse.ArgumentParser) -> None:
    default = Options()
    command.add_argument("--nodes", type=int, default=default.nodes)
    command.add_argument("--lan", default=default.lan, help="a /24 that this machine does not use")
    command.add_argument("--feature-gates", default="", help="of kube-apiserver")
    command.add_argument("--no-key-identifiers", action="store_true", help="in the CA")
    command.add_argument("--audit", action="store_true", help="requests of ServiceAccounts")


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return our words, and those that are passed to another program unchanged."""
    if argv[:1] and argv[0] in PASSED_ON:
        ours = 1 + PASSED_ON[argv[0]]
        theirs = argv[ours:]
        return argv[:ours], theirs[1:] if theirs[:1] == ["--"] else theirs
    if "--" in argv:
        at = argv.index("--")
        return argv[:at], argv[at + 1 :]
    return argv, []


def main() -> int:
    """Run one command; errors are one line."""
    progress = Progress()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through every `finally`
    ours, theirs = split(sys.argv[1:])
    words = parser().parse_args(ours)
    words.words = theirs
    try:
        code: int = words.run(words, Cache.of(os.environ), progress)
        return code
    except (ClusterError, TimeoutError) as error:
        progress.print(str(error))
        return 1
    except KeyboardInterrupt:
        progress.print("interrupted; make cluster-down removes what was created")
        return 130


if __name__ == "__main__":
    sys.exit(main())
