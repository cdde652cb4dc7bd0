from __future__ import annotations

from pathlib import Path

import pytest

from elasticjob.controller import settings
from elasticjob.controller.lead.candidate import LeaseName
from elasticjob.controller.settings import Settings, SettingsError


def refused(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as error:
        settings.parse(arguments)
    return error.value.lines


def test_defaults() -> None:
    assert settings.parse([]) == Settings()


def test_a_flag_has_precedence_over_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.touch()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_HEARTBEAT_SECONDS", "7")
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_WORKERS", "2")
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_NAMESPACE", "")
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_ELECT", "ops/operator")
    found = settings.parse(["--heartbeat-seconds", "0.2", "--health-port", "0"])
    assert found == Settings(
        kubeconfig=kubeconfig,
        heartbeat_s=0.2,
        health_port=0,
        workers=2,
        elect=LeaseName("ops", "operator"),
    )


@pytest.mark.parametrize(
    "name",
    [
        "elasticjob_controller_workers",
        "ELASTICJOB_CONTROLLER_workers",
        "WORKERS",
        "ELASTICJOB_CONTROLLER_NAMESPACES",
        "ELASTICJOB_CONTROLLER_HEARTBEAT_S",
        "ELASTICJOB_CONTROLLER_WRITES_PER_S",
        "ELASTICJOB_CONTROLLER_RESYNC_S",
        "ELASTICJOB_CONTROLLER_ELECT_S",
        "ELASTICJOB_CONTROLLER_TEMPLATE_ACCOUNTS",
        "ELASTICJOB_CONTROLLER_KUBECONFIG",
        "kubeconfig",
    ],
)
def test_a_variable_with_another_name_is_ignored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of fields, and names in another case, are none of those that --help prints."""
    expected = Settings()
    monkeypatch.setenv(name, "3")
    assert settings.parse([]) == expected


def test_all_that_is_wrong_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_LOG_LEVEL", "loud")
    monkeypatch.setenv("ELASTICJOB_CONTROLLER_NAMESPACE", "a,,b")
    assert refused(
        "--heartbeat-seconds", "soon", "--health-port", "70000", "--kubeconfig", "/none"
    ) == (
        "--kubeconfig is '/none': there is no such file;"
        " leave it out to use the pod's service account",
        "ELASTICJOB_CONTROLLER_NAMESPACE is 'a,,b': give names with a comma between them,"
        " or leave it out",
        "--heartbeat-seconds is 'soon': input should be a valid number,"
        " unable to parse string as a number",
        "--health-port is '70000': input should be less than or equal to 65535",
        "ELASTICJOB_CONTROLLER_LOG_LEVEL is 'loud':"
        " input should be 'debug', 'info', 'warning' or 'error'",
    )  # fmt: skip


def test_accepted_values() -> None:
    arguments = ["--namespace", "a, b ,c", "--template-service-accounts", "trainer,coach"]
    found = settings.parse([*arguments, "--elect-seconds", "0.5", "--workers", "64"])
    assert found == Settings(
        namespaces=("a", "b", "c"),
        template_accounts=("trainer", "coach"),
        elect_s=0.5,
        workers=64,
    )
    assert Settings().template_accounts == ()


def test_help_names_every_flag_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for flag, variable in (
        ("--kubeconfig FILE", "KUBECONFIG"),
        ("--namespace NAME,NAME", "ELASTICJOB_CONTROLLER_NAMESPACE"),
        ("--heartbeat-seconds S", "ELASTICJOB_CONTROLLER_HEARTBEAT_SECONDS"),
        ("--lease-writes-per-second N", "ELASTICJOB_CONTROLLER_LEASE_WRITES_PER_SECOND"),
        ("--uncounted-restarts-per-hour N", "ELASTICJOB_CONTROLLER_UNCOUNTED_RESTARTS_PER_HOUR"),
        ("--workers N", "ELASTICJOB_CONTROLLER_WORKERS"),
        ("--resync-seconds S", "ELASTICJOB_CONTROLLER_RESYNC_SECONDS"),
        ("--elect NAMESPACE/NAME", "ELASTICJOB_CONTROLLER_ELECT"),
        ("--elect-seconds S", "ELASTICJOB_CONTROLLER_ELECT_SECONDS"),
        ("--template-service-accounts NAME,NAME",
         "ELASTICJOB_CONTROLLER_TEMPLATE_SERVICE_ACCOUNTS"),
        ("--health-host ADDRESS", "ELASTICJOB_CONTROLLER_HEALTH_HOST"),
        ("--health-port PORT", "ELASTICJOB_CONTROLLER_HEALTH_PORT"),
        ("--log-level LEVEL", "ELASTICJOB_CONTROLLER_LOG_LEVEL"),
        ("--log-format FORMAT", "ELASTICJOB_CONTROLLER_LOG_FORMAT"),
    ):  # fmt: skip
        assert f"[{variable}]" in shown
        assert f" {flag} " in shown.partition("options:")[2]


@pytest.mark.parametrize(
    ("argument", "cure"),
    [
        *((f"--elect={wrong}", "give NAMESPACE/NAME") for wrong in ("o", "/o", "o/", "a/b/c")),
        (
            "--template-service-accounts=trainer,elasticjob-demo",
            "leave out names that begin with elasticjob-",
        ),
        ("--resync-seconds=0", "input should be greater than 0"),
        ("--lease-writes-per-second=0.5", "input should be greater than or equal to 1"),
        *(
            (f"--workers={wrong}", "give a whole number in digits only, such as 5")
            for wrong in ("5.0", "+5", " 5 ", "1_000", "-1", "", "five", "\u0665")
        ),
        ("--workers=65", "input should be less than or equal to 64"),
        ("--namespace=", "give names with a comma between them"),
    ],
)
def test_a_line_names_the_flag_and_the_cure(argument: str, cure: str) -> None:
    flag, _, value = argument.partition("=")
    (line,) = refused(argument)
    assert line.startswith(f"{flag} is {value!r}: {cure}")
