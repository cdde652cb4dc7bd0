"""Files at paths where a worker can put anything: a link, a FIFO, a directory, or a larger file.

No function follows a symbolic link at the end of its path, waits for another process, or raises
OSError. A file with a second name (a hard link) counts as absent: it may be a file of another user.
A program that writes a file and renames it, or replaces it, leaves one name.

The package uses the standard library only, and runs on Python 3.9.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ of Python 3.10
_FIFO_BYTES = 1 << 20  # the most that Linux gives to a user without privileges
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Content(NamedTuple):
    """The beginning of a file."""

    data: bytes
    changed_at: float  # wall clock
    stamp: tuple[int, int, int]  # differs after each change


class Fifo(NamedTuple):
    """The two ends of a FIFO, as file descriptors that do not block. Once no process has it open
    for writing, a read returns nothing."""

    reader: int
    writer: int


def read(path: str, limit: int) -> Content | None:
    """The first `limit` bytes of a regular file. None: there is none that can be read."""
    file = open_regular(path)
    if file is None:
        return None
    with file:
        try:
            found = os.fstat(file.fileno())
            data = file.read(limit)
        except OSError:
            return None
    return Content(data, found.st_mtime, (found.st_mtime_ns, found.st_ino, found.st_size))


def open_regular(path: str) -> BinaryIO | None:
    """A regular file, open for reading. None: there is none that can be read."""
    fd = _open(path, os.O_RDONLY)
    return None if fd is None else os.fdopen(fd, "rb")


def write(path: str, data: bytes) -> bool:
    """Write a regular file, which may exist. False: its path or its disk does not allow that."""
    fd = _open(path, os.O_WRONLY | os.O_CREAT)
    if fd is None:
        return False
    try:
        os.ftruncate(fd, 0)
        return os.write(fd, data) == len(data)
    except OSError:
        return False
    finally:
        os.close(fd)


def make_fifo(path: str) -> Fifo | None:
    """A new FIFO of this user, open. It replaces an older FIFO, and nothing else. None: something
    else is at the path, or its directory does not allow that."""
    try:
        if stat.S_ISFIFO(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return None
    try:
        os.mkfifo(path, 0o600)
        reader = os.open(path, os.O_RDONLY | _SAFE)
    except OSError:
        return None
    fifo = _with_writer(reader)
    if fifo is None:
        os.close(reader)
    return fifo


def clear(directory: str, names: Iterable[str]) -> bool:
    """Free names in a directory. False: one of them is still in use, or the directory is a link.

    A directory with content gets another name and is not removed: that would take its caller as
    long as a worker likes, and the volume is removed with its pod.
    """
    try:
        fd = os.open(directory, _DIRECTORY)
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return False
    try:
        return all([_clear(name, fd) for name in names])
    finally:
        os.close(fd)


def _open(path: str, flags: int) -> int | None:
    """Open a regular file with one name. O_NONBLOCK: neither a FIFO nor a lease delays this."""
    try:
        fd = os.open(path, flags | _SAFE, 0o644)
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return None
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return fd
    os.close(fd)
    return None


def _with_writer(reader: int) -> Fifo | None:
    """Open the other end of a FIFO, and give it room for bursts of lines. None: it is no FIFO."""
    import fcntl  # only here: few agents need it

    if not stat.S_ISFIFO(os.fstat(reader).st_mode):
        return None  # something has taken its place
    try:
        writer = os.open(f"/proc/self/fd/{reader}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.fcntl(writer, _SET_PIPE_SIZE, _FIFO_BYTES)
    except OSError:
        pass  # this user has too many pipes; then it has the usual 64 KiB, or less
    return Fifo(reader, writer)


def _clear(name: str, directory: int) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError:
        return _clear_directory(name, directory)
    return True


def _clear_directory(name: str, directory: int) -> bool:
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError:
        return _is_renamed(name, f"{name}.{os.urandom(8).hex()}.old", directory)
    return True


def _is_renamed(name: str, new: str, directory: int) -> bool:
    try:
        os.rename(name, new, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        return False
    return True
