"""Cgroups, on directories that look like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dev.cluster.errors import ClusterError
from dev.cluster.nodes.cgroups import Cgroups, cgroup_name


@pytest.fixture
def old(tmp_path: Path) -> Cgroups:
    """Version 1: a hierarchy per controller, `cpu` under two names."""
    for name in ("cpu,cpuacct", "cpuset", "freezer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpu").symlink_to("cpu,cpuacct")
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    return Cgroups("elasticjob-1", tmp_path)


@pytest.fixture
def new(tmp_path: Path) -> Cgroups:
    """Version 2: one hierarchy."""
    for name in ("cgroup.controllers", "cgroup.procs", "cgroup.subtree_control"):
        (tmp_path / name).touch()
    return Cgroups("elasticjob-1", tmp_path)


def test_names_differ_by_cluster() -> None:
    names = {cgroup_name(Path(path)) for path in ("/a/run", "/b/run", "/a/run")}
    assert len(names) == 2
    assert all(name.startswith("elasticjob-") for name in names)


def test_version_1_has_one_for_each_controller(old: Cgroups) -> None:
    assert not old.unified
    assert [p.name for p in old.hierarchies()] == ["cpu,cpuacct", "cpuset", "freezer"]
    made = old.make("node1")
    assert made == [old.root / name / "elasticjob-1" / "node1" for name in _names(old)]
    assert old.exists("node1")
    assert old.nodes() == ["node1"]
    assert not old.exists("node2")


def test_version_2_keeps_processes_out_of_cgroups_with_children(new: Cgroups) -> None:
    assert new.unified
    assert new.make("node1") == [new.root / "elasticjob-1" / "node1" / "system"]
    assert (new.root / "cgroup.subtree_control").read_text() == "+pids"
    assert new.of_kubelet("node1") == "/elasticjob-1/node1"


def test_removing_removes_all_of_a_node(old: Cgroups) -> None:
    for path in [*old.make("node1"), *old.make("node2")]:
        (path / "pods").mkdir()
    old.remove("node1")
    assert old.nodes() == ["node2"]
    old.remove()
    assert old.nodes() == []
    assert sorted(p.name for p in old.root.iterdir()) == ["cpu", *_names(old)]


def test_processes_of_a_node_are_those_in_its_cgroups(old: Cgroups) -> None:
    path = old.make("node1")[0]
    (path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert [who.pid for who in old.processes("node1")] == [os.getpid()]
    assert old.processes("node2") == []


def test_no_hierarchy_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no cgroups"):
        Cgroups("x", tmp_path).hierarchies()


def _names(cgroups: Cgroups) -> list[str]:
    return [path.name for path in cgroups.hierarchies()]
