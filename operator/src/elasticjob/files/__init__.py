"""Files at paths where a worker can put anything: a link, a FIFO, a directory, or a larger file.

No function follows a symbolic link at the end of its path, waits for another process, or raises
OSError. A file with a second name (a hard link) counts as absent: it may be a file of another user.
A program that writes a file and renames it, or replaces it, leaves one name.

The package uses the standard library only, and runs on Python 3.9.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, NamedTuple

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Content(NamedTuple):
    """The beginning of a file."""

    data: bytes
    changed_at: float  # wall clock
    stamp: tuple[int, int, int]  # differs after each change


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


def remove(path: str) -> bool:
    """Remove what has this path, with everything below it. False: a part of it is still there."""
    return _remove(path, None)


def empty(directory: str) -> bool:
    """Remove everything in a directory. False: a part of it is still there, or it is a link."""
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError:
        return False
    try:
        return all([_remove(name, fd) for name in os.listdir(fd)])
    except OSError:
        return False
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


def _remove(name: str, parent: int | None) -> bool:
    try:
        os.unlink(name, dir_fd=parent)
        return True
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return _remove_directory(name, parent)


def _remove_directory(name: str, parent: int | None) -> bool:
    """Remove a directory. Directories below it move up into it one by one, as a worker can nest
    them deeper than Python recurses and deeper than descriptors can be open.

    A mount stays with its content: neither rmdir nor a move accepts it.
    """
    try:
        os.rmdir(name, dir_fd=parent)
        return True
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) != errno.ENOTEMPTY:
            return False
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError:
        return False
    try:
        below = _unlink_all(fd, fd)
        while below:
            below += _flatten(below.pop(), fd)
        os.rmdir(name, dir_fd=parent)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def _flatten(name: str, top: int) -> list[str]:
    """Remove a directory in `top`, and return the new names in `top` of those in it."""
    fd = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        moved = _unlink_all(fd, top)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)
    return moved


def _unlink_all(fd: int, top: int) -> list[str]:
    """Remove the files in a directory, move its directories to `top`, and return their names."""
    moved = []
    for name in os.listdir(fd):
        try:
            os.unlink(name, dir_fd=fd)
        except OSError:
            new = os.urandom(8).hex()
            os.rename(name, new, src_dir_fd=fd, dst_dir_fd=top)
            moved.append(new)
    return moved
