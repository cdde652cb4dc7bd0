"""The directory of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from dev.cluster.cache import Cache
from dev.cluster.errors import ClusterError


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"HOME": "/home/a"}, "/home/a/.cache/elasticjob"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "/data/c"}, "/data/c/elasticjob"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": ""}, "/home/a/.cache/elasticjob"),
    ],
)
def test_the_cache_belongs_to_the_user(environ: dict[str, str], home: str) -> None:
    cache = Cache.of(environ)
    assert cache.home == Path(home)
    assert cache.kubeconfig == Path(home) / "cluster" / "run" / "kubeconfig"


@pytest.mark.parametrize("base", ["/run/user/0", "/var/lib/x", "/var/log"])
def test_the_cache_is_not_below_a_directory_over_which_nodes_mount(base: str) -> None:
    with pytest.raises(ClusterError, match="Cure: XDG_CACHE_HOME"):
        Cache.of({"XDG_CACHE_HOME": base})
