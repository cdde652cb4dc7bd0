"""The error that is printed as one line."""

from __future__ import annotations


class ClusterError(Exception):
    """A command has failed; the message names the cause and the cure."""
