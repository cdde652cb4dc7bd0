"""The rendezvous protocol as pure functions: what each agent does, and what the holder decides.

`agent_step(me, event, now) -> (me, actions, again_at)` applies rules 1-6; `judge` and `decide` are
rules 7 and 8. The functions do no I/O, read no clock, draw no random number and write no log.

F, V, W and S numbers name a trace in tests/scenarios, I numbers an invariant in docs/protocol.md.
"""

from elasticjob.rendezvous.state import Me
from elasticjob.rendezvous.step import Step, agent_step, new_agent

__all__ = ["Me", "Step", "agent_step", "new_agent"]
