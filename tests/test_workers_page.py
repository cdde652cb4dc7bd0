"""docs/workers.md: what workers and tools may rely on is what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.support.jobs import elastic_job, worker
from tests.support.protocol import active

from elasticjob.agent.config import read_config
from elasticjob.agent.workers import environment, exits, progress
from elasticjob.controller.act import manifests
from elasticjob.rendezvous import state
from elasticjob.rendezvous.members.ranks import Ranks
from elasticjob.wire import names
from elasticjob.wire.codec import LARGEST, Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import JobIdentity, round_manifest
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Progress

PAGE = (Path(__file__).parent.parent / "docs" / "workers.md").read_text()
JOB = elastic_job(pod={"containers": [worker()], "hostNetwork": True}, nprocPerNode=2)


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The words in backquotes in the first column of the tables of a text."""
    rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def pod() -> Json:
    return manifests.pod(JOB, 0, 0, "0" * 64)


def variables_of_container() -> list[str]:
    (container,) = pod()["spec"]["containers"]
    return [variable["name"] for variable in container["env"]]


def variables_of_worker() -> dict[str, str]:
    ranks = Ranks(
        world=4, first_rank=0, workers=2, group_rank=0, group_world=2, role="default",
        first_role=0, role_world=4,
    )  # fmt: skip
    group = environment.group_env(active(1, [Pod(0, 0)]), Desired(()), ranks, "job", "pod")
    return environment.worker_env({environment.ENABLE_TIMERS: "1"}, group, ranks, 0, "/d")


def test_variables() -> None:
    assert sorted(first_cells(section("Variables of a worker"))) == sorted(variables_of_worker())
    of_container = first_cells(section("Variables of the worker container"))
    assert sorted(of_container) == sorted(variables_of_container())


def test_the_progress_file() -> None:
    text = section("The progress file")
    example = re.search(r"^    (\{.*\})$", text, re.MULTILINE)
    assert example is not None
    found = progress.parse(example[1].encode())
    assert found == Progress(**json.loads(example[1]))
    assert progress.parse(b'{"step": %d, "more": []}' % LARGEST) == Progress(LARGEST)
    assert progress.parse(b'{"step": %d}' % (LARGEST + 1)) is None
    assert f"whole numbers from 0 to {LARGEST}." in text
    assert f"at most\n  {progress._LONGEST} bytes" in text
    assert f"at most {exits._LONGEST_FILE >> 20} MiB are read" in PAGE


def test_the_code_of_the_page_writes_what_the_agent_reads(tmp_path: Path) -> None:
    code = re.search(r"^        def report.*?(?=^\S|^\* )", PAGE, re.MULTILINE | re.DOTALL)
    assert code is not None
    lines = "\n".join(line[8:] for line in code[0].splitlines())
    path = tmp_path / "progress-0.json"
    env = {environment.PROGRESS_FILE: str(path), "LOCAL_RANK": "0"}
    program = f"import json, os\n{lines}\nreport(3, 9)"
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
    assert progress.ProgressFile(str(path)).read_if_changed() == Progress(3, 9)


def test_exit_codes() -> None:
    rows = re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)
    codes = {value for name, value in vars(state).items() if name.startswith("EXIT_")}
    assert {int(row) for row in rows} == codes


def test_labels_and_annotations() -> None:
    made = {
        value for name, value in vars(names).items() if name.startswith(("LABEL_", "ANNOTATION_"))
    }
    assert set(first_cells(section("Labels and annotations"))) == made
    meta = pod()["metadata"]
    identity = JobIdentity("team", "demo", "uid")
    lease = round_manifest(identity, Desired(()), active(1, [Pod(0, 0)]))["metadata"]
    for label, on in re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \|", section("Labels and annotations"), re.M
    ):
        assert (label in meta["labels"] or label in meta["annotations"]) == (
            "pods" in on or on == "the same"
        ), label
        assert (label in lease["labels"]) == ("Leases" in on or on == "the same") - ("agents" in on)


def test_the_agent_reads_the_variables_of_the_container() -> None:
    """The page names all of them: read_config reports the names of those that are missing."""
    (container,) = pod()["spec"]["containers"]
    given = {each["name"]: each.get("value", "10.0.0.1") for each in container["env"]}
    kube = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert read_config({**given, **kube}, ["--", "true"]).workers == 2
