"""The directories of the local mode: only the user can write to them, and they are removed whole.

Pods execute what they contain, and clients trust their kubeconfig. So another user must be able to
change neither a directory nor a name above it. The rules are those of sshd (StrictModes), which
also walks up to `/`; unlike sshd they accept a sticky directory such as /tmp, because only the
owner of an entry can rename it there. PostgreSQL checks the directory itself only.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCK = "elasticjob.lock"
"""The file that marks a root directory, and that a running server locks."""
_UNFIT = (":", "$(", "\n")  # separators of PATH and KUBECONFIG, a variable of a command, a line
CURE = "choose another directory with --root"


class RootError(Exception):
    """The root directory cannot be used. The text is one line with the path and the cure."""


@dataclass(frozen=True)
class User:
    """The user whose directories are safe."""

    uid: int
    private_gid: int | None = None  # a group without other members, if the user has one

    @classmethod
    def current(cls) -> User:
        """The user of this process.

        On Ubuntu and others, each user has a group of the same name, and the default umask lets
        this group write. Root has no such group: on OpenShift, other users are in group 0.
        """
        uid, gid = os.geteuid(), os.getegid()
        try:
            name, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid)
        except KeyError:  # the user of a container may have no name
            return cls(uid)
        is_private = uid != 0 and group.gr_name == name and set(group.gr_mem) <= {name}
        return cls(uid, gid if is_private else None)


def own_directory(path: Path, user: User | None = None) -> Path:
    """Create a directory, or check an existing one; returns its real path.

    Raises RootError if it is a link, or if another user can write to it or replace it.
    """
    user = user or User.current()
    try:
        if path.is_symlink():
            raise RootError(f"{path}: is a link; give the directory that it points to with --root")
        path = Path(os.path.abspath(path))
        path = path.parent.resolve() / path.name
        # From the top: what has passed cannot change while the next one is checked.
        for directory in [*reversed(path.parents), path]:
            if not directory.exists():
                directory.mkdir(mode=0o700)
            _check(directory, user, is_above=directory != path)
    except OSError as error:
        raise RootError(f"{error.filename or path}: {error.strerror}; {CURE}") from None
    return path


@contextmanager
def locked_root(path: Path) -> Iterator[Path]:
    """Create a root directory, or take one of an earlier run, and lock it; gives its real path.

    Raises RootError, before anything is written to it, if the directory contains other files, is in
    use by another server, is not safe, or has a name that programs would read as something else.
    """
    path = own_directory(path)
    if found := [text for text in _UNFIT if text in str(path)]:
        raise RootError(f"{str(path)!r}: contains {found[0]!r}; {CURE}")
    if any(path.iterdir()) and not _is_own_file(path / LOCK):
        raise RootError(f"{path}: not empty and not from an earlier run; {CURE}")
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(lock, path)
        yield path
    finally:
        os.close(lock)


def new_directory(path: Path) -> None:
    """Create a directory in one that is safe, in the place of an earlier one, which is removed.

    Raises RootError if the earlier one cannot be removed.
    """
    remove_tree(path)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise RootError(f"{path}: cannot be removed; remove it, or {CURE}") from None


def remove_tree(path: Path) -> None:
    """Remove what processes of pods wrote; without an error, what cannot be removed stays.

    It follows no links and enters no mount. shutil.rmtree recurses and opens a descriptor for each
    level, so that a deep tree exhausts both, and it stops at a directory without permissions. Here
    each directory is moved below `path`, so that no path is longer than that of its parent was.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    found = [] if _is_gone_or_mounted(path) else [path]
    while found:
        directory = found.pop()
        for entry in _entries(directory):
            try:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry)
                elif _is_gone_or_mounted(entry):
                    pass
                elif directory == path:
                    found.append(Path(entry))
                else:
                    os.chmod(entry, 0o700)  # a move changes its entry `..`
                    found.append(Path(entry).rename(path / secrets.token_hex(8)))
            except OSError:
                pass
        if directory != path:
            _is_gone_or_mounted(directory)
    _is_gone_or_mounted(path)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        directory.chmod(0o700)
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []


def _is_gone_or_mounted(directory: Path | os.DirEntry[str]) -> bool:
    """Remove a directory if it is empty. False: it may have content that can be removed."""
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno == errno.EBUSY
    return True


def _is_own_file(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RootError(f"{path}: in use by another server; {CURE}") from None


def _check(directory: Path, user: User, *, is_above: bool) -> None:
    """Raise RootError if another user can change what the directory contains.

    In a directory above, the entry that leads to ours must be safe: root and the owner of `/` are
    trusted, and in a sticky directory other users can neither rename nor remove what is not theirs.
    """
    found = directory.lstat()
    owners = {user.uid, 0, os.stat("/").st_uid} if is_above else {user.uid}
    if not stat.S_ISDIR(found.st_mode):
        raise RootError(f"{directory}: not a directory; {CURE}")
    if found.st_uid not in owners:
        raise RootError(f"{directory}: belongs to {_name(found.st_uid)}; {CURE}")
    is_shared = found.st_mode & stat.S_IWOTH or (
        found.st_mode & stat.S_IWGRP and found.st_gid != user.private_gid
    )
    is_sticky = bool(found.st_mode & stat.S_ISVTX)
    if is_shared and not (is_above and is_sticky):
        # A sticky directory is meant for all users: `chmod go-w /tmp` would lock them out.
        change = "name a new directory in it" if is_sticky else "run `chmod go-w`"
        change = "run `chmod +t`" if is_above else change
        raise RootError(f"{directory}: other users can write to it; {change}, or {CURE}")


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
