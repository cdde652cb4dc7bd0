"""What goes wrong and is said in one line."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot do what was asked; the message names the cause and the cure."""
