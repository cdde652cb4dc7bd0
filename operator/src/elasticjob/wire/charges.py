"""The set of round numbers that count against the budget."""

from __future__ import annotations

from typing import Any

from elasticjob.wire.codec import dump_numbers, load_numbers, number, text
from elasticjob.wire.dataclasses import dataclass, replace

KEPT = 64


@dataclass(frozen=True)
class Charges:
    """The last 64 charged round numbers, and how many older ones there were.

    forgiven: up to this number all was paid off by a healthy time, also what the operator charged.

    Sets of numbers, not a counter: a charge can be struck or pardoned by its number, twice without
    harm, and by whoever finds out later what really happened (F8, W5).
    """

    numbers: frozenset[int] = frozenset()
    older: int = 0
    forgiven: int = 0

    def with_charge(self, n: int) -> Charges:
        """The same and n; the oldest number is folded into `older` beyond 64."""
        numbers = sorted(self.numbers | {n})
        older = self.older + len(numbers[:-KEPT])
        return replace(self, numbers=frozenset(numbers[-KEPT:]), older=older)

    def struck_above(self, n: int) -> Charges:
        """Without every number above n."""
        return replace(self, numbers=frozenset(k for k in self.numbers if k <= n))

    def to_fields(self) -> dict[str, Any]:
        """As fields of the Round record."""
        fields: dict[str, Any] = {}
        if self.numbers:
            fields["charged"] = dump_numbers(self.numbers)
        if self.older:
            fields["chargedOlder"] = self.older
        if self.forgiven:
            fields["forgiven"] = self.forgiven
        return fields

    @classmethod
    def from_record(cls, record: dict[str, Any], what: str) -> Charges:
        """The inverse; raises WireError."""
        numbers = load_numbers(text(record, "charged", what), f"{what}.charged")
        older = number(record, "chargedOlder", what, 0)
        return cls(numbers, older, number(record, "forgiven", what, 0))


NO_CHARGES = Charges()
