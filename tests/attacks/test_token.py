"""What the tokens may do is what docs/security.md states, which is an output of `make rights`."""

from __future__ import annotations

from tests.attacks import rights
from tests.support.cluster_scene import scene
from tests.support.installed import needs_a_real_server

from elasticjob.wire import names

pytestmark = [*needs_a_real_server]


def test_the_page_states_what_the_tokens_may_do() -> None:
    with scene(names.AGENT_CLUSTER_ROLE) as made:
        found = rights.section(made)
    assert rights.of_page() == found, "run: make rights"
