"""Nodes: their processes, cgroups, network and configuration files."""
