"""The CRD in the chart is the generated one."""

from __future__ import annotations

import yaml
from tests.support.chart import CHART, ROOT, of_kind, one, rendered

from elasticjob.api.crd import custom_resource_definition

NAME = "elasticjob.dev_elasticjobs.yaml"


def test_the_chart_holds_a_copy_of_the_generated_file() -> None:
    copy = CHART / "files" / NAME
    assert not copy.is_symlink()  # a packaged chart must contain it
    assert copy.read_bytes() == (ROOT / "crds" / NAME).read_bytes(), "run: make generate"


def test_the_crd_is_installed_unchanged_and_kept_after_an_uninstall() -> None:
    found = one(rendered(), "CustomResourceDefinition")
    assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert found == yaml.safe_load((ROOT / "crds" / NAME).read_text())
    assert found == custom_resource_definition()


def test_it_can_be_left_out() -> None:
    assert of_kind(rendered("crds.install=false"), "CustomResourceDefinition") == []
