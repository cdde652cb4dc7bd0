"""The protocol as pure functions: what an agent does on an event, what the holder decides.

`agent_step(me, event, now) -> (me, actions)` holds rules 1-6, `judge` and `decide` rules 7 and 8.
Input comes in as events, a batch of actions goes out; no I/O, clock, randomness or logging.
"""

from elasticjob.rendezvous.state import Me
from elasticjob.rendezvous.step import agent_step, new_agent
from elasticjob.rendezvous.wake import next_wake

__all__ = ["Me", "agent_step", "new_agent", "next_wake"]
