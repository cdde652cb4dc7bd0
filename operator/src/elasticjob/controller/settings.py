"""What the operator was told: flags, and for each the environment variable of the same name.

Everything that is wrong is said at once, in one list; nothing is read later than at the start.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticjob.controller.lead.candidate import Place

ENVIRONMENT_PREFIX = "ELASTICJOB_CONTROLLER_"
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """Flags or variables that cannot be used: one line for each, naming it and the cure."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True)
class Settings:
    """What the operator was told.

    kubeconfig None: the account of the pod that the operator runs in. namespaces empty: all.
    heartbeat_s None: computed from the number of agents, so that all of them together
    write about writes_per_s Leases a second. uncounted_restarts_per_hour: beyond it a job is told
    to be unstable. elect None: it leads from the start, as the only one.
    template_accounts: whether a job's template may name the account that its pods run as, which
    then gets the rights of an agent.
    """

    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = ()
    heartbeat_s: float | None = None
    writes_per_s: float = 100.0
    uncounted_restarts_per_hour: int = 12
    workers: int = 4
    resync_s: float = 600.0
    elect: Place | None = None
    elect_s: float = 15.0
    template_accounts: bool = True
    health_host: str = ""
    health_port: int = 8080
    log_level: str = "info"


@dataclass(frozen=True)
class _Option:
    """One flag. read: text -> value; raises ValueError that says what is expected."""

    field: str
    flag: str
    metavar: str
    read: Callable[[str], Any]
    text: str
    variable: str = ""

    @property
    def source(self) -> str:
        """The environment variable that is read when the flag is absent."""
        name = self.flag.removeprefix("--").replace("-", "_").upper()
        return self.variable or ENVIRONMENT_PREFIX + name


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Flags first, then variables, then defaults; raises SettingsError with all that is wrong."""
    given = vars(_parser().parse_args(arguments))
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for option in _OPTIONS:
        name, text = _found(option, given, environment)
        if text is None:
            continue
        try:
            values[option.field] = option.read(text)
        except ValueError as error:
            wrong.append(f"{name} is {text!r}: {error}")
    if wrong:
        raise SettingsError(wrong)
    return Settings(**values)


def _found(
    option: _Option, given: Mapping[str, str | None], environment: Mapping[str, str]
) -> tuple[str, str | None]:
    flagged = given[option.field]
    if flagged is not None:
        return option.flag, flagged
    return option.source, environment.get(option.source) or None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m elasticjob.controller",
        description="The operator of ElasticJob: makes the pods of each job, keeps what is wanted"
        " of it in its Round Lease, follows its rounds and writes its status.",
        epilog="Each flag can be given as the environment variable in brackets instead.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in _OPTIONS:
        text = f"{option.text} [{option.source}]"
        parser.add_argument(option.flag, dest=option.field, metavar=option.metavar, help=text)
    return parser


def _seconds(text: str) -> float:
    value = _decimal(text)
    if value <= 0:
        raise ValueError("give a number of seconds above 0")
    return value


def _rate(text: str) -> float:
    value = _decimal(text)
    if value < 1:
        raise ValueError("give a number from 1")
    return value


def _decimal(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("give a number") from None


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdigit() or not lowest <= int(text) <= highest:
            raise ValueError(f"give a whole number from {lowest} to {highest}")
        return int(text)

    return read


def _names(text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise ValueError("give names with a comma between them, or leave it out for all")
    return found


def _allow(text: str) -> bool:
    if text not in ("allow", "refuse"):
        raise ValueError("give allow or refuse")
    return text == "allow"


def _place(text: str) -> Place:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise ValueError("give NAMESPACE/NAME, or leave it out if there is only one operator")
    return Place(namespace, name)


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("there is no such file; leave it out to use the pod's own account")
    return path


def _level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise ValueError(f"give one of {', '.join(LOG_LEVELS)}")
    return text


_OPTIONS = (
    _Option(
        "kubeconfig", "--kubeconfig", "FILE", _file,
        "which cluster, and who the operator is there; default: the pod's own account",
        variable="KUBECONFIG",
    ),
    _Option(
        "namespaces", "--namespace", "NAME,NAME", _names,
        "the namespaces to serve; default: all",
    ),
    _Option(
        "heartbeat_s", "--heartbeat-seconds", "S", _seconds,
        "how often each agent renews its Lease; default: between 5 and 60 by the number of agents",
    ),
    _Option(
        "writes_per_s", "--lease-writes-per-second", "N", _rate,
        "how many Leases all agents together may write per second; default: 100",
    ),
    _Option(
        "uncounted_restarts_per_hour", "--uncounted-restarts-per-hour", "N", _whole(0, 10_000),
        "beyond so many restarts an hour that maxRestarts does not count, such as preemptions, a"
        " job has the condition Unstable; default: 12",
    ),
    _Option(
        "workers", "--workers", "N", _whole(1, 64),
        "how many jobs are worked on at once; default: 4",
    ),
    _Option(
        "resync_s", "--resync-seconds", "S", _seconds,
        "how often everything is listed, to find what the watches lost; default: 600",
    ),
    _Option(
        "elect", "--elect", "NAMESPACE/NAME", _place,
        "lead only while holding this Lease; default: lead at once, as the only operator",
    ),
    _Option(
        "elect_s", "--elect-seconds", "S", _seconds,
        "how long a leader that is not heard of is waited for; default: 15",
    ),
    _Option(
        "template_accounts", "--template-service-accounts", "allow|refuse", _allow,
        "whether a job's template may name the service account of its pods; default: allow",
    ),
    _Option(
        "health_host", "--health-host", "ADDRESS", str,
        "where /livez, /readyz and /metrics are served; default: every address",
    ),
    _Option(
        "health_port", "--health-port", "PORT", _whole(0, 65535),
        "port of /livez, /readyz and /metrics; 0: any free one; default: 8080",
    ),
    _Option(
        "log_level", "--log-level", "LEVEL", _level,
        f"one of {', '.join(LOG_LEVELS)}; default: info",
    ),
)  # fmt: skip
