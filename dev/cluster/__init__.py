"""A real Kubernetes on one Linux machine, built from package registries alone, for tests.

    python -m dev.cluster up | down | status | images | kubectl ARGS...

docs/cluster.md describes its parts, its requirements and its durations.
"""
