"""The metrics, values and numbers in docs/operations.md exist."""

from __future__ import annotations

import re

import yaml
from tests.support.chart import CHART, ROOT

from elasticjob.controller.observe import heartbeat
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.settings import Settings

PAGE = (ROOT / "docs" / "operations.md").read_text()
SUFFIXES = re.compile("_(bucket|count|sum|created)$")


def test_it_lists_every_metric() -> None:
    listed = set(re.findall(r"^\| `(elasticjob_\w+)`", PAGE, re.MULTILINE))
    families = Metrics().registry.collect()
    exist = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    assert listed == exist
    assert {SUFFIXES.sub("", name) for name in re.findall(r"elasticjob_\w+", PAGE)} == exist


def test_its_values_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(r"(?:--set '?|`)([a-z]\w+(?:\.\w+)+)[=`]", PAGE)
    assert "policy.enabled" in named
    for name in named:
        found = values
        for step in name.split("."):
            assert step in found, name
            found = found[step]


def test_its_table_of_heartbeats() -> None:
    header, _, row = PAGE[PAGE.index("| agents, all in one namespace |") :].splitlines()[:3]
    agents = [int(cell.replace(",", "")) for cell in re.findall(r"\d[\d,]*", header)]
    seconds = [float(cell) for cell in re.findall(r"(\d+) s", row)]
    rate = Settings().writes_per_s
    assert [heartbeat.needed_s("team", {"team": n}, rate) for n in agents] == seconds
    assert len(seconds) == 4
