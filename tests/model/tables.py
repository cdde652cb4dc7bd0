"""Parts of states: each distinct part is stored once, and a state is a tuple of numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.model.records import ROUNDS, Domain, key_of, labels_of, renumbered

from elasticjob.wire.member import Pod

Labels = frozenset[tuple[Domain, int]]
Mapping = dict[tuple[Domain, int], int]


class Wire(NamedTuple):
    """What surrounds one agent: requests, answers, the watch, workers, and what the checks note."""

    pod: Pod
    nonce: str
    alive: bool = True  # False: only its requests are still under way
    wide: bool = False  # its watch has all Leases of the job
    listens: bool = False  # its watch was opened
    troubles: tuple[tuple[str, float], ...] = ()  # kind, and the time after which it ends at last
    requests: tuple[tuple[int, float], ...] = ()  # action, and when it times out (NO_TIME: never)
    answers: tuple[tuple[str, tuple[int, ...]], ...] = ()  # kind of request, events
    stream: tuple[int, ...] = ()
    work: tuple[int, ...] = ()  # starts and stops of workers
    workers: tuple[int, str] | None = None  # their round, and what they do
    seen_n: int = 0  # the highest round that this incarnation has received
    leaving: bool = False  # it has received SIGTERM
    deleted: float = -1.0  # its pod is deleted, and it has this time until SIGKILL


NO_TIME = -1.0


class Env(NamedTuple):
    """Faults, and what the checks note."""

    left: int  # faults that may still happen
    may_charge: int = 0  # as many charges as the faults so far can cause
    must_charge: int = 0  # as many as they do cause, if that is known
    away: float = NO_TIME  # the operator is away, at most for this time
    started: frozenset[tuple[int, int]] = frozenset()  # (n, index) of workers
    finished: frozenset[tuple[int, Pod]] = frozenset()
    finishing: bool = False  # workers may finish


class Tables:
    """All parts of states, and the normal forms of the numbers in them."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.pods: list[Pod | None] = []
        self.labels: list[int] = []
        self._ids: dict[Any, int] = {}
        self._label_ids: dict[Labels, int] = {}
        self.label_sets: list[Labels] = []
        self._mappings: dict[tuple[int, ...], int] = {}
        self._mapping_ids: dict[Any, int] = {}
        self.mappings: list[Mapping] = []
        self._renumbered: dict[int, dict[int, int]] = {}  # by mapping
        self._restricted: dict[tuple[int, int], int] = {}
        self._envs: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self.none = self.record(())

    def record(self, record: Any, pod: Pod | None = None) -> int:
        """The number of a record, or of a tuple of records."""
        if record.__class__ is tuple:
            pairs = [labels_of(each, pod) for each in record]
            made: Any = tuple([found for found, _ in pairs])
            labels: Labels = frozenset().union(*[found for _, found in pairs])
        else:
            made, labels = labels_of(record, pod)
        return self._add((key_of(made), pod), made, pod, labels)

    def agent(self, me: Any, wake: float | None) -> int:
        """The number of an agent's state, with the time until it wants to act."""
        made, labels = labels_of(me)
        return self._add((key_of(made), wake), (made, wake), None, labels)

    def wire(self, wire: Wire) -> int:
        """The number of what surrounds an agent."""
        if len(wire.requests) > 1 or len(wire.answers) > 1:  # they come in any order
            wire = wire._replace(
                requests=tuple(sorted(wire.requests)), answers=tuple(sorted(wire.answers))
            )
        found = self._ids.get(wire)
        if found is not None:
            return found
        ids = [*[each for each, _ in wire.requests], *wire.stream, *wire.work]
        ids += [each for _, group in wire.answers for each in group]
        labels = set().union(*[self.label_sets[self.labels[each]] for each in ids])
        if wire.workers is not None:
            labels.add((ROUNDS, wire.workers[0]))
        if wire.seen_n:
            labels.add((ROUNDS, wire.seen_n))
        return self._add(wire, wire, None, frozenset(labels))

    def env(self, env: Any) -> int:
        """The number of a part without records. What the checks note of a round holds no number
        alive."""
        found = self._ids.get(env)
        return self._add(env, env, None, frozenset()) if found is None else found

    def _add(self, key: Any, part: Any, pod: Pod | None, labels: Labels) -> int:
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self.parts)
            self.parts.append(part)
            self.pods.append(pod)
            label_id = self._label_ids.setdefault(labels, len(self._label_ids))
            if label_id == len(self.label_sets):
                self.label_sets.append(labels)
            self.labels.append(label_id)
        return found

    # ---- normal numbers ----------------------------------------------------------------------

    def top(self, state: tuple[int, ...], domain: Domain) -> int:
        """The highest number of a domain in a state."""
        sets = (self.label_sets[self.labels[part]] for part in state)
        return max((n for found in sets for where, n in found if where == domain), default=0)

    def normal(self, state: tuple[int, ...]) -> tuple[int, ...]:
        """The state with ranks for numbers."""
        labels = self.labels
        key = tuple([labels[part] for part in state])
        mapping = self._mappings.get(key)
        if mapping is None:
            mapping = self._mappings[key] = self._mapping(key)
        env = state[2]
        has_notes = self.parts[env].started or self.parts[env].finished
        if mapping < 0 and not has_notes:
            return state
        if has_notes:
            env_key = (env, mapping, key)
            env = self._envs.get(env_key, -1)
            if env < 0:
                env = self._envs[env_key] = self._renumber(state[2], mapping, key)
        if mapping < 0:
            return state if env == state[2] else (*state[:2], env, *state[3:])
        known = self._renumbered_by(mapping)
        made = []
        for part in state:
            new = known.get(part)
            if new is None:
                new = known[part] = self._renumber(part, mapping, key)
            made.append(new)
        made[2] = env
        return tuple(made)

    def _renumbered_by(self, mapping: int) -> dict[int, int]:
        """The parts that a mapping has renumbered."""
        return self._renumbered.setdefault(mapping, {})

    def _mapping(self, key: tuple[int, ...]) -> int:
        """The number of the mapping to ranks; negative: nothing changes."""
        used = sorted(set().union(*[self.label_sets[each] for each in key]), key=_order)
        mapping: Mapping = {}
        rank, before = 0, None
        for domain, n in used:
            rank = rank + 1 if domain == before else 1
            before = domain
            mapping[domain, n] = rank
        return self._mapping_id(mapping)

    def _mapping_id(self, mapping: Mapping) -> int:
        if all(n == new for (_, n), new in mapping.items()):
            return -1
        frozen = frozenset(mapping.items())
        found = self._mapping_ids.setdefault(frozen, len(self._mapping_ids))
        if found == len(self.mappings):
            self.mappings.append(mapping)
        return found

    def _renumber(self, part: int, mapping_id: int, key: tuple[int, ...]) -> int:
        record = self.parts[part]
        mapping = self.mappings[mapping_id] if mapping_id >= 0 else None
        if isinstance(record, Env):
            return self.env(self._env(record, mapping, key))
        if mapping is None:
            return part
        mapping_id = self._restricted_to(self.labels[part], mapping_id)
        if mapping_id < 0:
            return part
        found = self._renumbered_by(mapping_id).get(part)
        if found is None:
            found = self._renumbered_by(mapping_id)[part] = self._renumber_part(part, mapping_id)
        return found

    def _restricted_to(self, label_id: int, mapping_id: int) -> int:
        """The number of the mapping of these labels alone; negative: it changes none of them."""
        found = self._restricted.get((label_id, mapping_id))
        if found is None:
            mapping = self.mappings[mapping_id]
            made = {each: mapping[each] for each in self.label_sets[label_id]}
            found = self._restricted[label_id, mapping_id] = self._mapping_id(made)
        return found

    def _renumber_part(self, part: int, mapping_id: int) -> int:
        record, mapping = self.parts[part], self.mappings[mapping_id]

        def number(domain: Domain, n: int) -> int:
            return mapping.get((domain, n), n)

        if isinstance(record, Wire):
            return self._renumber_wire(record, mapping_id, number)
        if record.__class__ is tuple and len(record) == 2 and not hasattr(record[1], "pod"):
            me, wake = record
            if hasattr(me, "who"):
                return self.agent(renumbered(me, number), wake)
        if record.__class__ is tuple:
            return self.record(tuple([renumbered(each, number) for each in record]))
        pod = self.pods[part]
        return self.record(renumbered(record, number, pod), pod)

    def _renumber_wire(self, wire: Wire, mapping: int, number: Any) -> int:
        def moved(each: int) -> int:
            return self._renumber(each, mapping, ())

        made = wire._replace(
            requests=tuple([(moved(each), due) for each, due in wire.requests]),
            answers=tuple([(kind, tuple(map(moved, group))) for kind, group in wire.answers]),
            stream=tuple(map(moved, wire.stream)),
            work=tuple(map(moved, wire.work)),
            workers=wire.workers and (number(ROUNDS, wire.workers[0]), wire.workers[1]),
            seen_n=number(ROUNDS, wire.seen_n),
        )
        return self.wire(made)

    def _env(self, env: Env, mapping: Mapping | None, key: tuple[int, ...]) -> Env:
        """Drop what the checks note of rounds that no other part of the state names."""
        if not env.started and not env.finished:
            return env
        used = {n for each in key for domain, n in self.label_sets[each] if domain == ROUNDS}

        def number(n: int) -> int:
            return mapping[ROUNDS, n] if mapping is not None else n

        return env._replace(
            started=frozenset((number(n), i) for n, i in env.started if n in used),
            finished=frozenset((number(n), p) for n, p in env.finished if n in used),
        )


def _order(label: tuple[Domain, int]) -> tuple[str, Any, int]:
    (kind, pod), n = label
    return (kind, (pod.index, pod.generation) if pod is not None else (), n)
