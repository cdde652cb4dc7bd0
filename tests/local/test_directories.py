from __future__ import annotations

import os
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mounts import NO_NAMESPACES, may_mount, run_with_mount

from elasticjob.local.directories import (
    LOCK,
    RootError,
    User,
    locked_root,
    new_directory,
    own_directory,
    remove_tree,
)

ME, GROUP = os.geteuid(), os.getegid()


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


def test_directories_are_created_for_the_user_alone(tmp_path: Path) -> None:
    assert own_directory(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert modes(tmp_path / "a", tmp_path / "a" / "b") == [0o700, 0o700]


def test_other_users_may_read_the_root(tmp_path: Path) -> None:
    """The directory of the pods and the kubeconfigs are closed to them."""
    tmp_path.chmod(0o755)
    assert own_directory(tmp_path) == tmp_path


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_root_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(RootError, match=f"^{tmp_path}: other users can write to it; "):
        own_directory(tmp_path, User(ME))


def test_a_directory_for_all_users_is_no_root_but_may_contain_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(RootError, match="write to it; name a new directory in it, or choose"):
        own_directory(tmp_path)


def test_a_path_that_is_too_long_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RootError, match="name too long; choose another directory with --root"):
        own_directory(tmp_path / ("x" * 300))


@pytest.mark.parametrize(("mode", "is_safe"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_a_directory_above_is_safe_if_others_cannot_rename_in_it(
    tmp_path: Path, mode: int, is_safe: bool
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    root = tmp_path / "shared" / "root"
    if is_safe:
        assert own_directory(root) == root
    else:
        with pytest.raises(RootError, match=f"^{tmp_path}/shared: other users can write to it"):
            own_directory(root)
        assert not root.exists()


def test_the_group_that_only_the_user_is_in_may_write(tmp_path: Path) -> None:
    """Ubuntu's default umask lets it."""
    tmp_path.chmod(0o775)
    assert own_directory(tmp_path, User(ME, GROUP)) == tmp_path
    with pytest.raises(RootError, match="other users can write"):
        own_directory(tmp_path, User(ME, GROUP + 1))


def test_root_has_no_group_for_itself() -> None:
    assert User.current().private_gid in ((None,) if ME == 0 else (None, GROUP))


def test_the_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RootError, match=r"belongs to user .*; choose another directory"):
        own_directory(tmp_path, User(ME + 1))


def test_a_link_is_refused(tmp_path: Path) -> None:
    """Its owner can point it elsewhere at any time."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(RootError, match=f"^{tmp_path}/link: is a link; give the directory"):
        own_directory(tmp_path / "link")
    assert own_directory(tmp_path / "link" / "below") == tmp_path / "real" / "below"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RootError, match=f"^{tmp_path}/file.*: .*ot a directory; choose"):
            own_directory(path)


def test_a_root_is_used_by_one_server_at_a_time(tmp_path: Path) -> None:
    with (
        locked_root(tmp_path),
        pytest.raises(RootError, match="in use by another server; choose another"),
        locked_root(tmp_path),
    ):
        pass
    with locked_root(tmp_path) as path:
        assert path == tmp_path


@pytest.mark.parametrize("name", ["notes.txt", "pods", "kubeconfig"])
def test_a_directory_with_other_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with (
        pytest.raises(RootError, match="not empty and not from an earlier run; choose another"),
        locked_root(tmp_path),
    ):
        pass
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a:b", "$(HOME)", "a\nb"])
def test_a_name_that_programs_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    """kubectl would look for two kubeconfigs, and a pod for its programs in two directories."""
    with (
        pytest.raises(RootError, match=r"contains .*; choose another directory with --root") as no,
        locked_root(tmp_path / name),
    ):
        pass
    assert "\n" not in str(no.value)


def test_a_link_does_not_mark_a_root(tmp_path: Path) -> None:
    (tmp_path / LOCK).symlink_to("/etc/passwd")
    with pytest.raises(RootError, match="not from an earlier run"), locked_root(tmp_path):
        pass


def test_a_new_directory_replaces_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "pods").symlink_to("kept")
    new_directory(tmp_path / "pods")
    assert not (tmp_path / "pods").is_symlink()
    assert modes(tmp_path / "pods") == [0o700]
    assert (tmp_path / "kept").is_dir()


def test_a_tree_is_removed_without_following_links(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "file").touch()
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "a" / "link").symlink_to(outside)
    (tree / "link").symlink_to(outside)
    os.mkfifo(tree / "a" / "fifo")
    remove_tree(tree)
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["file"]
    assert modes(outside) == [0o750]


def test_a_link_in_the_place_of_a_tree_is_removed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "tree").symlink_to("outside")
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["file"]
    remove_tree(tmp_path / "absent")
    (tmp_path / "tree").touch()
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == ["outside"]


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """The number of files that this process may open: as many as by default on Linux."""
    few, (most, hard) = 1024, resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@pytest.mark.slow
def test_a_tree_of_any_depth_is_removed(tmp_path: Path, few_descriptors: int) -> None:
    """Its paths are longer than a path may be, and its levels more than a process may open, and
    more than a function may recurse."""
    name = "depth"
    depth = few_descriptors + 100
    assert depth > sys.getrecursionlimit()
    assert depth * len(name) > os.pathconf(tmp_path, "PC_PATH_MAX")
    (tmp_path / "tree").mkdir()
    place = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


def test_directories_without_permissions_are_removed(tmp_path: Path) -> None:
    """Root passes any mode: only another user's run of this test can fail."""
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    for path in ("tree/a/b", "tree/a", "tree"):
        (tmp_path / path).chmod(0)
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not may_mount(), reason=NO_NAMESPACES)
@pytest.mark.parametrize("place", ["", "home", "home/bucket"])
def test_a_tree_is_removed_without_what_is_mounted_in_it(tmp_path: Path, place: str) -> None:
    mounted = tmp_path / "mounted"
    (mounted / "below").mkdir(parents=True)
    mounted.chmod(0o750)
    (tmp_path / "tree" / place).mkdir(parents=True)
    code = "from pathlib import Path; from elasticjob.local.directories import remove_tree;"
    code += f"remove_tree(Path({str(tmp_path / 'tree')!r}))"
    run_with_mount(mounted, tmp_path / "tree" / place, code)
    assert os.listdir(mounted) == ["below"]
    assert modes(mounted) == [0o750]
