"""The operator's settings: flags, and for each flag an environment variable.

A flag has precedence over its variable. All values are read and checked once, at the start.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from elasticjob.controller.lead.candidate import LeaseName
from elasticjob.wire import names

PREFIX = "ELASTICJOB_CONTROLLER_"


class SettingsError(ValueError):
    """Flags or variables that cannot be used: one line for each, with its name and the cure."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file; leave it out to use the pod's service account")
    return path


def _names(value: object) -> object:
    """The names in a text such as `team-a,team-b`."""
    if not isinstance(value, str):
        return value
    found = tuple(name.strip() for name in value.split(","))
    if not all(found):
        raise ValueError("give names with a comma between them, or leave it out")
    return found


def _accounts(accounts: tuple[str, ...]) -> tuple[str, ...]:
    """The accounts, none of which can be that of a job."""
    reserved = names.service_account_name("")
    if any(account.startswith(reserved) for account in accounts):
        raise ValueError(f"leave out names that begin with {reserved}: they are accounts of jobs")
    return accounts


def _place(value: object) -> object:
    """The Lease that a text such as `elasticjob-system/operator` names."""
    if not isinstance(value, str):
        return value
    namespace, slash, name = value.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise ValueError("give NAMESPACE/NAME, or leave it out if there is only one operator")
    return LeaseName(namespace, name)


def _digits(value: object) -> object:
    """A text of digits only. Pydantic would also read 5.0, +5 and 1_000."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("give a whole number in digits only, such as 5")
    return value


class Variables(PydanticBaseSettingsSource):
    """The variables that --help names, exactly so spelled. One that is empty counts as not set."""

    def __call__(self) -> dict[str, Any]:
        """Return the value of each variable under the key of its field."""
        found = (
            self.get_field_value(field, name)
            for name, field in self.settings_cls.model_fields.items()
        )
        return {key: value for value, key, _ in found if value}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value and key of one field, and False: values are plain text, not JSON."""
        key = str(field.validation_alias or field_name)
        return os.environ.get(_variable(field_name)), key, False


Seconds = Annotated[float, Field(gt=0)]
Whole = Annotated[int, BeforeValidator(_digits)]


class Settings(BaseSettings):
    """The variable and the flag of a field follow from its alias or name; --help shows its title
    as the placeholder of the value, and its docstring."""

    model_config = SettingsConfigDict(
        validate_by_name=True,
        use_attribute_docstrings=True,
        frozen=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags, then variables. Those of pydantic-settings would have further names."""
        return init_settings, Variables(settings_cls)

    kubeconfig: Annotated[Path, AfterValidator(_file)] | None = Field(
        None, title="FILE", validation_alias="KUBECONFIG"
    )
    """the cluster, and the operator's user in it; default: the service account of its pod"""

    namespaces: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (), title="NAME,NAME", validation_alias=f"{PREFIX}NAMESPACE"
    )
    """the namespaces to serve; default: all"""

    heartbeat_s: Seconds | None = Field(
        None, title="S", validation_alias=f"{PREFIX}HEARTBEAT_SECONDS"
    )
    """the interval at which each agent renews its Lease; default: between 5 and 60, computed for
    each namespace from the number of agents that run"""

    writes_per_s: float = Field(
        100, ge=1, title="N", validation_alias=f"{PREFIX}LEASE_WRITES_PER_SECOND"
    )
    """the number of Leases that all agents together may write in a second; namespaces share it"""

    uncounted_restarts_per_hour: Whole = Field(12, ge=0, le=10_000, title="N")
    """with more restarts in an hour that maxRestarts does not count, such as preemptions, a job
    gets the condition Unstable"""

    workers: Whole = Field(4, ge=1, le=64, title="N")
    """the number of jobs that are reconciled at the same time"""

    resync_s: Seconds = Field(600, title="S", validation_alias=f"{PREFIX}RESYNC_SECONDS")
    """the interval at which the operator lists all objects, to find changes that the watches
    missed"""

    elect: Annotated[LeaseName, BeforeValidator(_place)] | None = Field(
        None, title="NAMESPACE/NAME"
    )
    """lead only while holding this Lease; default: lead at once, as the only operator"""

    elect_s: Seconds = Field(15, title="S", validation_alias=f"{PREFIX}ELECT_SECONDS")
    """the time without a renewal after which another operator takes the Lease"""

    template_accounts: Annotated[
        tuple[str, ...], BeforeValidator(_names), AfterValidator(_accounts)
    ] = Field((), title="NAME,NAME", validation_alias=f"{PREFIX}TEMPLATE_SERVICE_ACCOUNTS")
    """the service accounts that a job's template may name for its pods; each gets the rights of an
    agent in the namespace of the job; default: none"""

    health_host: str = Field("", title="ADDRESS")
    """the address of /livez, /readyz and /metrics; default: every address"""

    health_port: Whole = Field(8080, ge=0, le=65535, title="PORT")
    """the port of /livez, /readyz and /metrics; 0: any free one"""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", title="LEVEL")
    """debug, info, warning or error"""

    log_format: Literal["auto", "json", "text"] = Field("auto", title="FORMAT")
    """json, text, or auto: text on a terminal, json elsewhere"""


def parse(arguments: Sequence[str]) -> Settings:
    """Read flags, variables and defaults; raises SettingsError with a line for each error."""
    given = vars(_parser().parse_args(arguments))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError([*_lines(error, given)]) from None


def _lines(error: ValidationError, given: Mapping[str, str]) -> Iterator[str]:
    fields = {key: name for name in Settings.model_fields for key in (name, _variable(name))}
    for found in error.errors():
        name = fields[str(found["loc"][0])]
        source = _flag(name) if name in given else _variable(name)
        text = found["msg"].removeprefix("Value error, ")
        yield f"{source} is {str(found['input'])!r}: {text[0].lower()}{text[1:]}"


def _variable(name: str) -> str:
    return str(Settings.model_fields[name].validation_alias or f"{PREFIX}{name.upper()}")


def _flag(name: str) -> str:
    return "--" + _variable(name).removeprefix(PREFIX).lower().replace("_", "-")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m elasticjob.controller",
        description="The operator of ElasticJob. It creates and replaces the pods of each job,"
        " writes the job's desired state to its Round Lease, and its progress to its status.",
        epilog="Each flag can be given as the environment variable in brackets.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for name, field in Settings.model_fields.items():
        text: Any = field.description
        if field.default:
            text += f"; default: {field.default}"
        parser.add_argument(
            _flag(name), dest=name, metavar=field.title, help=f"{text} [{_variable(name)}]"
        )
    return parser
