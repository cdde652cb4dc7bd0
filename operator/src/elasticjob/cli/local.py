"""`elasticjob local`: ElasticJob on this machine, without Kubernetes."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elasticjob.cli.extras import imports
from elasticjob.cli.interrupt import until_interrupted
from elasticjob.cli.screen import Screen

if TYPE_CHECKING:
    from elasticjob.local.up import Local

Command = Callable[[argparse.Namespace], int]

EXIT_COMPLETE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
LARGEST_PORT = 65535
LARGEST_FILE = 16 << 20
_OF_PORTS = (errno.EADDRINUSE, errno.EACCES)

ABOUT = """\
Runs the operator and agents of ElasticJob with an in-memory API server and a local kubelet, which
runs each pod as processes of this machine. It needs no Kubernetes, container runtime or root.

This is not Kubernetes and not a sandbox: pods run with your user ID and can access your files and
network. Images are not used, so commands must be installed on this machine. See docs/local.md for
all differences.
"""
EPILOG_UP = """\
example:
  elasticjob local up
  # in another terminal, with the path that `up` prints:
  export KUBECONFIG=/tmp/elasticjob-1a2b3c4d/kubeconfig
  kubectl apply -f examples/quickstart.yaml
  kubectl get elasticjobs -w
"""
EPILOG_RUN = """\
exit code:
  0    all ElasticJobs of the file are Complete
  1    an ElasticJob is Failed or was deleted
  2    the file or an option is invalid, the operator cannot start, or the output cannot be written
  130  interrupted by Ctrl-C; all processes have ended

example:
  elasticjob local run examples/quickstart.yaml
  elasticjob local run -f examples/charlm.yaml --python ~/venvs/torch/bin/python
"""


def add_to(commands: Any) -> None:
    """Add `local` and its subcommands to the parser."""
    parser = commands.add_parser("local", help="run jobs on this machine", description=ABOUT)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    below = parser.add_subparsers(metavar="COMMAND", required=True)
    up = _command(below, "up", _up, "start the local mode and wait for Ctrl-C", EPILOG_UP)
    run = _command(below, "run", _run, "run the jobs of a file in the local mode", EPILOG_RUN)
    file = run.add_mutually_exclusive_group(required=True)
    file.add_argument("file", nargs="?", metavar="FILE", help="YAML file; - reads standard input")
    file.add_argument("-f", "--filename", metavar="FILE", help="the same, as for kubectl")
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
        help="Python of the pods, as python and python3; default: the Python of elasticjob",
    )
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="API server's port; default: a free one"
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="directory for kubeconfig, logs and volumes; default: a temporary directory",
    )
    parser.add_argument(
        "--heartbeat-seconds",
        type=float,
        metavar="S",
        help="interval at which agents renew their Leases; default: that of the operator",
    )


def _up(options: argparse.Namespace) -> int:
    async def work(local: Local, screen: Screen) -> int:
        for line in _usage_lines(local):
            screen.print(line)
        await asyncio.Event().wait()
        return EXIT_COMPLETE

    return _with_local(options, work)


def _run(options: argparse.Namespace) -> int:
    with imports():
        from elasticjob.local.follower import Follower
        from elasticjob.local.manifests import ManifestError, create, parse
        from elasticjob.wire.names import KIND

    filename = options.filename or options.file
    source = "standard input" if filename == "-" else filename
    try:
        objects = parse(_read(filename), source)
        if not any(obj["kind"] == KIND for obj in objects):
            raise ManifestError(f"{source}: must contain an {KIND}; add one, or use `local up`")
    except OSError as error:
        return _usage_error(f"{source}: {_words(error)}")
    except ManifestError as error:
        return _usage_error(str(error))

    async def work(local: Local, screen: Screen) -> int:
        screen.print(f"to use kubectl: export KUBECONFIG={local.server.kubeconfig}")
        try:
            created = create(local.server.verbs, objects, source)
        except ManifestError as error:
            return _usage_error(str(error))
        jobs = [obj for obj in created if obj["kind"] == KIND]
        follower = Follower(local.server.store, local.kubelet.logs, jobs, screen.print_line)
        outcomes = await follower.run()
        for outcome in outcomes:
            screen.print(f"{KIND} {outcome.name}: {outcome.phase}")
        return EXIT_COMPLETE if all(outcome.completed for outcome in outcomes) else EXIT_FAILED

    return _with_local(options, work)


def _with_local(
    options: argparse.Namespace, work: Callable[[Local, Screen], Coroutine[None, None, int]]
) -> int:
    with imports():
        from elasticjob.local.directories import RootError
        from elasticjob.local.operator import start_fault
        from elasticjob.local.up import up

    async def run(root: Path) -> int:
        async with up(
            root,
            operator=_operator(options),
            port=options.port,
            python=options.python,
            host_path=os.environ.get("PATH", os.defpath),
        ) as local:
            screen, access = Screen(), local.server.access
            fault = start_fault(local.server.store, lambda: access.operator_has_called)
            return await _unless((fault, screen.broken()), work(local, screen))

    try:
        with _root(options.root) as root:
            return until_interrupted(run(root))
    except RootError as error:
        return _usage_error(str(error))
    except OSError as error:
        place = f"port {options.port}: " if error.errno in _OF_PORTS else ""
        return _usage_error(f"{place}{_words(error)}")


async def _unless(
    faults: Iterable[Coroutine[None, None, str]], work: Coroutine[None, None, int]
) -> int:
    """The result of the work, or that of an error if one of the faults returns before."""
    working = asyncio.ensure_future(work)
    failing = [asyncio.ensure_future(fault) for fault in faults]
    try:
        await asyncio.wait((working, *failing), return_when=asyncio.FIRST_COMPLETED)
        found = [fault.result() for fault in failing if fault.done()]
        return _usage_error(found[0]) if found else working.result()
    finally:
        for task in (working, *failing):
            task.cancel()
        await asyncio.gather(working, *failing, return_exceptions=True)


def _operator(options: argparse.Namespace) -> list[str]:
    """The command of the operator, which runs in this Python regardless of --python."""
    command = [sys.executable, "-m", "elasticjob.controller"]
    command += ["--health-host", "127.0.0.1", "--health-port", "0", "--log-format", "text"]
    if options.heartbeat_seconds is not None:
        command += ["--heartbeat-seconds", str(options.heartbeat_seconds)]
    return command


def _usage_lines(local: Local) -> list[str]:
    return [
        f"API server: {local.server.url} (in memory, reachable from this machine only)",
        "This is not Kubernetes: pods are processes with your user ID and are not isolated.",
        "",
        f"  export KUBECONFIG={local.server.kubeconfig}",
        "  kubectl apply -f job.yaml",
        "  kubectl get elasticjobs -w",
        "",
        "Press Ctrl-C to end all processes.",
    ]


@contextmanager
def _root(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with imports():
        from elasticjob.local.directories import remove_tree

    created = Path(tempfile.mkdtemp(prefix="elasticjob-"))
    try:
        yield created
    finally:
        remove_tree(created)


def _read(filename: str) -> bytes:
    """The content of a file. Raises OSError, also if it is larger than any manifest."""
    if filename == "-" and sys.stdin is None:
        raise OSError(errno.EBADF, "is closed")
    with sys.stdin.buffer if filename == "-" else Path(filename).open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"is larger than {LARGEST_FILE >> 20} MiB")
    return content


def _words(error: OSError) -> str:
    """What has happened, without the number of the error."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{os.strerror(error.errno) if error.errno in _OF_PORTS else error.strerror}"


def _port(text: str) -> int:
    """The number of a port, or 0."""
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_PORT):
        raise argparse.ArgumentTypeError(f"{text}: must be a number from 0 to {LARGEST_PORT}")
    return int(text)


def _program(text: str) -> Path:
    """The absolute path of a program, which is given as a path or a name in PATH."""
    found = shutil.which(Path(text).expanduser())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: no such program; give the path of one")
    return Path(found).absolute()


def _usage_error(message: str) -> int:
    print(f"elasticjob: {message}", file=sys.stderr)
    return EXIT_USAGE
