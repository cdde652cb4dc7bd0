"""What a worker can put at a path of its agent: none of it blocks, misleads or ends the reader."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.mounts import NO_NAMESPACES, may_mount, run_with_mount

from elasticjob import files

LIMIT = 4096


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.mkdir()


def full_directory(path: Path) -> None:
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "file").write_text("x")


def link_to_a_foreign_file(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "none")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def second_name_of_a_foreign_file(path: Path) -> None:
    foreign = path.parent / "foreign"
    foreign.write_text("secret")
    os.link(foreign, path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


HOSTILE = [
    fifo, directory, full_directory, link_to_a_foreign_file, dangling_link, link_to_itself,
    second_name_of_a_foreign_file, unix_socket, link_to_a_device,
]  # fmt: skip


@pytest.mark.parametrize("put", HOSTILE)
def test_what_is_no_plain_file_is_neither_read_nor_written(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "it"
    put(path)
    before = sorted(tmp_path.rglob("*"))
    assert files.read(str(path), LIMIT) is None
    assert files.open_regular(str(path)) is None
    assert not files.write(str(path), b"mine")
    assert sorted(tmp_path.rglob("*")) == before
    foreign = tmp_path / "foreign"
    assert not foreign.exists() or foreign.read_text() == "secret"


@pytest.mark.parametrize("put", HOSTILE)
def test_a_name_is_cleared_of_anything_and_nothing_that_it_points_to(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "it"
    put(path)
    foreign = {each for each in tmp_path.iterdir() if each != path}
    assert files.clear(str(tmp_path), ["it"])
    left = set(tmp_path.iterdir()) - foreign
    assert [each.is_dir() for each in left] == ([True] if put is full_directory else [])
    assert foreign <= set(tmp_path.iterdir())
    assert Path("/etc/passwd").exists()
    assert files.clear(str(tmp_path), ["it"])  # it is clear already
    assert files.write(str(path), b"mine")


def test_a_directory_with_content_is_not_removed_but_renamed(tmp_path: Path) -> None:
    """Removal costs its caller as long as a worker likes: an agent would not renew its Lease."""
    for _ in range(2):
        full_directory(tmp_path / "it")
        assert files.clear(str(tmp_path), ["it"])
        assert not (tmp_path / "it").exists()
    assert [(each / "a" / "file").read_text() for each in tmp_path.iterdir()] == ["x", "x"]


def test_all_names_are_cleared_though_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    too_long = "n" * 300
    assert not files.clear(str(tmp_path), ["a", too_long, "b"])
    assert list(tmp_path.iterdir()) == []


def test_a_reader_who_waits_at_a_fifo_receives_nothing(tmp_path: Path) -> None:
    """With a reader, a FIFO can be opened for writing."""
    path = tmp_path / "it"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert not files.write(str(path), b"mine")
    assert os.read(fd, 10) == b""
    os.close(fd)


def test_a_device_is_not_read() -> None:
    assert files.read("/dev/zero", LIMIT) is None
    assert not files.write("/dev/null", b"x")


def test_a_large_file_costs_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    found = files.read(str(path), LIMIT)
    assert found is not None
    assert found.data == bytes(LIMIT)
    assert found.stamp[2] == 1 << 30


def test_what_is_read_is_what_was_opened(tmp_path: Path) -> None:
    """A file that is replaced after it was opened changes nothing: its kind is not read before."""
    path = tmp_path / "it"
    path.write_text("first")
    opened = files.open_regular(str(path))
    assert opened is not None
    path.unlink()
    path.symlink_to("/etc/passwd")
    with opened:
        assert opened.read() == b"first"


@pytest.mark.parametrize("lease", [fcntl.F_RDLCK, fcntl.F_WRLCK])
def test_a_lease_on_a_file_does_not_delay_its_reader(tmp_path: Path, lease: int) -> None:
    """The kernel holds a conflicting open back for 45 s, unless it is non-blocking."""
    path = tmp_path / "it"
    path.write_text("x")
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.fcntl(f, fcntl.F_SETSIG, 0)\n"
        "import signal; signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "fcntl.fcntl(f, fcntl.F_SETLEASE, int(sys.argv[2])); print(1, flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(lease)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        is_read = files.read(str(path), LIMIT) is not None
        assert is_read == (lease == fcntl.F_RDLCK)
        assert not files.write(str(path), b"mine")


def test_what_permissions_forbid_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # another user may not enter the directories above
    path = tmp_path / "it"
    path.write_text("x")
    (tmp_path / "full" / "below").mkdir(parents=True)
    (tmp_path / "full").chmod(0)
    path.chmod(0)
    tmp_path.chmod(0o555)
    try:
        with without_rights() as done:
            done += [files.clear(".", ["it"]), files.clear(".", ["full"]), files.clear("full", [])]
            done += [files.write("it", b""), files.read("it", LIMIT) is not None]
        assert path.exists()
        assert done == [False] * 5
    finally:
        tmp_path.chmod(0o755)
        (tmp_path / "full").chmod(0o755)


@contextmanager
def without_rights() -> Iterator[list[bool]]:
    """Act as a user without rights: root has the right to do anything."""
    if os.geteuid() != 0:
        yield []
        return
    os.seteuid(65534)
    try:
        yield []
    finally:
        os.seteuid(0)


def test_a_file_on_a_read_only_disk_is_not_written() -> None:
    assert not files.write("/proc/version", b"x")
    assert not files.write("/dev/full", b"x")


@pytest.mark.skipif(not may_mount(), reason=NO_NAMESPACES)
def test_a_mount_stays_where_it_is(tmp_path: Path) -> None:
    """It may be a volume or a directory of another machine."""
    mounted = tmp_path / "mounted"
    full_directory(mounted)
    (tmp_path / "it").mkdir()
    code = f"from elasticjob import files; print(files.clear({str(tmp_path)!r}, ['it']))"
    assert run_with_mount(mounted, tmp_path / "it", code) == "False\n"
    assert (mounted / "a" / "b").exists()
    assert (mounted / "a" / "file").exists()


def test_nothing_is_cleared_in_a_directory_that_is_a_link(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "kept").write_text("x")
    (tmp_path / "link").symlink_to(home)
    assert not files.clear(str(tmp_path / "link"), ["kept"])
    assert (home / "kept").exists()


def test_a_path_with_a_nul_is_no_file() -> None:
    assert files.read("a\0b", LIMIT) is None
    assert not files.write("a\0b", b"")
    assert not files.clear("a\0b", ["c"])


@pytest.mark.parametrize("put", [each for each in HOSTILE if each is not fifo])
def test_a_fifo_takes_the_place_of_nothing_but_a_fifo(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "it"
    put(path)
    before = sorted(tmp_path.rglob("*"))
    assert files.make_fifo(str(path)) is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fifo_is_made_again_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "it"
    os.mkfifo(path)
    first = os.open(path, os.O_RDWR)
    made = files.make_fifo(str(path))
    assert made is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.write(first, b"of an older round")
    with pytest.raises(BlockingIOError):
        os.read(made.reader, 100)
    second = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(second, b"x")
    os.close(second)
    assert os.read(made.reader, 100) == b"x"
    os.close(made.writer)
    assert os.read(made.reader, 100) == b""
    os.close(made.reader)
    os.close(first)


def test_without_a_place_there_is_no_fifo(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "none" / "it", tmp_path / "file" / "it", tmp_path / ("n" * 300)):
        assert files.make_fifo(str(path)) is None
    assert files.make_fifo("a\0b") is None
    assert files.make_fifo("") is None
    assert files.make_fifo("/proc/it") is None


def test_a_file_is_written_over_what_it_contained(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("something longer")
    assert files.write(str(path), b"new")
    found = files.read(str(path), LIMIT)
    assert found is not None
    assert found.data == b"new"
    assert found.changed_at == path.stat().st_mtime
