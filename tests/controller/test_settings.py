from __future__ import annotations

from pathlib import Path

import pytest

from elasticjob.controller import settings
from elasticjob.controller.settings import Settings, SettingsError


def test_defaults() -> None:
    assert settings.parse([], {}) == Settings()


def test_a_flag_goes_before_its_variable(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.touch()
    found = settings.parse(
        ["--heartbeat-seconds", "0.2", "--namespace", "a, b", "--health-port", "0"],
        {
            "KUBECONFIG": str(kubeconfig),
            "ELASTICJOB_CONTROLLER_HEARTBEAT_SECONDS": "7",
            "ELASTICJOB_CONTROLLER_WORKERS": "2",
            "ELASTICJOB_CONTROLLER_NAMESPACE": "",
        },
    )
    assert found == Settings(
        kubeconfig=kubeconfig, heartbeat_s=0.2, namespaces=("a", "b"), health_port=0, workers=2
    )


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        settings.parse(
            ["--heartbeat-seconds", "soon", "--health-port", "70000", "--kubeconfig", "/none"],
            {"ELASTICJOB_CONTROLLER_LOG_LEVEL": "loud", "ELASTICJOB_CONTROLLER_NAMESPACE": "a,,b"},
        )
    assert refused.value.lines == (
        "--kubeconfig is '/none': there is no such file; leave it out to use the pod's own account",
        "ELASTICJOB_CONTROLLER_NAMESPACE is 'a,,b': give names with a comma between them,"
        " or leave it out for all",
        "--heartbeat-seconds is 'soon': give a number",
        "--health-port is '70000': give a whole number from 0 to 65535",
        "ELASTICJOB_CONTROLLER_LOG_LEVEL is 'loud': give one of debug, info, warning, error",
    )


def test_help_names_every_flag_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parse(["--help"], {})
    shown = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for name in ("--kubeconfig", "[KUBECONFIG]", "--resync-seconds", "--lease-writes-per-second"):
        assert name in shown


def test_the_lease_of_the_election() -> None:
    found = settings.parse(["--elect", "ops/operator", "--elect-seconds", "3"], {})
    assert (str(found.elect), found.elect_s) == ("ops/operator", 3.0)
    for wrong in ("operator", "/operator", "ops/", "a/b/c"):
        with pytest.raises(SettingsError, match="give NAMESPACE/NAME"):
            settings.parse(["--elect", wrong], {})


def test_accounts_of_templates() -> None:
    assert not settings.parse(["--template-service-accounts", "refuse"], {}).template_accounts
    with pytest.raises(SettingsError, match="give allow or refuse"):
        settings.parse(["--template-service-accounts", "no"], {})
