"""`elasticjob local`: the whole system on this machine, without Kubernetes."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elasticjob.cli.interrupt import until_interrupted
from elasticjob.cli.screen import Screen

if TYPE_CHECKING:
    from elasticjob.local.up import Local

Command = Callable[[argparse.Namespace], int]

EXIT_COMPLETE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

ABOUT = """\
An API server in memory, a stand-in for the kubelet that runs each pod as processes of this
machine, and the real operator and agents. Needs no Kubernetes, no container runtime and no root.

It is not Kubernetes and no sandbox: pods run as you, see your files and share your network; images
are not used, so commands must exist here. docs/local.md says what else is different.
"""
EPILOG_UP = """\
example:
  elasticjob local up
  # in another terminal, with the path that it prints:
  export KUBECONFIG=/tmp/elasticjob-1a2b3c4d/kubeconfig
  kubectl apply -f examples/quickstart.yaml
  kubectl get elasticjobs -w
"""
EPILOG_RUN = """\
exit code:
  0    every ElasticJob of the file completed
  1    one has failed, or was deleted
  2    the file or an option cannot be used
  130  interrupted by Ctrl-C; every process has been ended

example:
  elasticjob local run -f examples/quickstart.yaml
  elasticjob local run -f examples/charlm.yaml --python ~/venvs/torch/bin/python
"""


def add_to(commands: Any) -> None:
    """Add `local` and its commands to the parser."""
    parser = commands.add_parser("local", help="run jobs on this machine", description=ABOUT)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    below = parser.add_subparsers(metavar="COMMAND", required=True)
    up = _command(below, "up", _up, "start it, and wait for Ctrl-C", EPILOG_UP)
    run = _command(below, "run", _run, "start it, run the jobs of a file, and end it", EPILOG_RUN)
    run.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="YAML objects; - reads from stdin"
    )
    for command in (up, run):
        _add_options(command)


def _command(
    commands: Any, name: str, command: Command, text: str, epilog: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.\n\n{ABOUT}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        type=_program,
        default=Path(sys.executable),
        metavar="PATH",
        help="what pods find as python and python3; default: the Python that runs this",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="of the API server; default: a free one"
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="where kubeconfig, logs and volumes are; default: a new directory, removed at the end",
    )
    parser.add_argument(
        "--heartbeat-seconds",
        type=float,
        metavar="S",
        help="how often each agent renews its Lease; default: the operator's choice",
    )


def _up(options: argparse.Namespace) -> int:
    async def work(local: Local) -> int:
        screen = Screen()
        for line in _how_to_use(local):
            screen.line(line)
        await asyncio.Event().wait()
        return EXIT_COMPLETE

    return _with_local(options, work)


def _run(options: argparse.Namespace) -> int:
    from elasticjob.local.follower import Follower
    from elasticjob.local.manifests import ManifestError, create, parse
    from elasticjob.wire.names import KIND

    source = "standard input" if options.filename == "-" else options.filename
    try:
        objects = parse(_text(options.filename), source)
        if not any(obj["kind"] == KIND for obj in objects):
            raise ManifestError(f"{source}: there is no {KIND} in it; `local up` runs without one")
    except OSError as error:
        return _refuse(f"{source}: {error.strerror}")
    except ManifestError as error:
        return _refuse(str(error))

    async def work(local: Local) -> int:
        screen = Screen()
        screen.line(f"kubectl works with KUBECONFIG={local.server.kubeconfig}")
        try:
            created = create(local.server.verbs, objects, source)
        except ManifestError as error:
            return _refuse(str(error))
        jobs = [obj for obj in created if obj["kind"] == KIND]
        follower = Follower(local.server.store, local.kubelet.logs, jobs, screen.say)
        outcomes = await follower.run()
        for outcome in outcomes:
            screen.line(f"{KIND} {outcome.name}: {outcome.phase}")
        return EXIT_COMPLETE if all(outcome.completed for outcome in outcomes) else EXIT_FAILED

    return _with_local(options, work)


def _with_local(options: argparse.Namespace, work: Callable[[Local], Awaitable[int]]) -> int:
    from elasticjob.local.node.kubelet import RootError
    from elasticjob.local.up import up

    async def all_of_it(root: Path) -> int:
        async with up(
            root,
            operator=_operator(options),
            port=options.port,
            python=options.python,
            host_path=os.environ.get("PATH", os.defpath),
        ) as local:
            return await work(local)

    try:
        with _root(options.root) as root:
            return until_interrupted(all_of_it(root))
    except (RootError, OSError) as error:
        return _refuse(str(error))


def _operator(options: argparse.Namespace) -> list[str]:
    """The operator's command; it is this installation's own, whatever --python is."""
    command = [sys.executable, "-m", "elasticjob.controller"]
    command += ["--health-host", "127.0.0.1", "--health-port", "0", "--log-format", "text"]
    if options.heartbeat_seconds is not None:
        command += ["--heartbeat-seconds", str(options.heartbeat_seconds)]
    return command


def _how_to_use(local: Local) -> list[str]:
    return [
        f"API server on {local.server.url}, in memory, for this machine only. Not Kubernetes:",
        "pods are processes of this machine, run as you, and are not isolated.",
        "",
        f"  export KUBECONFIG={local.server.kubeconfig}",
        "  kubectl apply -f job.yaml",
        "  kubectl get elasticjobs -w",
        "",
        "Ctrl-C ends everything.",
    ]


@contextmanager
def _root(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="elasticjob-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _text(filename: str) -> str:
    return sys.stdin.read() if filename == "-" else Path(filename).read_text()


def _program(text: str) -> Path:
    """A path, or a name in PATH, of something that can be run."""
    found = shutil.which(Path(text).expanduser())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: there is no such program")
    return Path(found).absolute()


def _refuse(why: str) -> int:
    print(f"elasticjob: {why}", file=sys.stderr)
    return EXIT_USAGE
