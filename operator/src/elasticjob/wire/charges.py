"""The numbers of the rounds that count against the budget."""

from __future__ import annotations

from typing import Any

from elasticjob.wire.codec import dump_numbers, load_numbers, number, text
from elasticjob.wire.dataclasses import dataclass, replace

KEPT = 64


@dataclass(frozen=True)
class Charges:
    """The charged rounds of a job.

    A set of numbers, not a counter: an agent or the operator that later finds the real cause can
    strike or pardon a charge by its number, also twice (F8, W5).
    """

    numbers: frozenset[int] = frozenset()  # the last 64 charged rounds
    older: int = 0  # how many charges came before them
    forgiven: int = 0  # all charges up to this number are forgiven, the operator's, too
    at_start: frozenset[int] = frozenset()  # of `numbers`: crashes before the job had trained

    def with_charge(self, n: int, at_start: bool = False) -> Charges:
        """Add the charge n. Beyond 64 numbers, the oldest are only counted in `older`."""
        numbers = sorted(self.numbers | {n})
        older = self.older + len(numbers[:-KEPT])
        kept = frozenset(numbers[-KEPT:])
        starts = self.at_start | {n} if at_start else self.at_start
        return replace(self, numbers=kept, older=older, at_start=starts & kept)

    def struck_above(self, n: int) -> Charges:
        """Remove the charges above n."""
        numbers = frozenset(k for k in self.numbers if k <= n)
        return replace(self, numbers=numbers, at_start=self.at_start & numbers)

    def to_fields(self) -> dict[str, Any]:
        """Encode the charges as fields of the round."""
        fields: dict[str, Any] = {}
        if self.numbers:
            fields["charged"] = dump_numbers(self.numbers)
        if self.older:
            fields["chargedOlder"] = self.older
        if self.forgiven:
            fields["forgiven"] = self.forgiven
        if self.at_start:
            fields["chargedAtStart"] = dump_numbers(self.at_start)
        return fields

    @classmethod
    def from_record(cls, record: dict[str, Any], what: str) -> Charges:
        """Decode the fields of the round. Raises WireError."""
        numbers = load_numbers(text(record, "charged", what), f"{what}.charged", KEPT)
        older = number(record, "chargedOlder", what, 0)
        starts_text = text(record, "chargedAtStart", what)
        at_start = load_numbers(starts_text, f"{what}.chargedAtStart", KEPT)
        return cls(numbers, older, number(record, "forgiven", what, 0), at_start & numbers)


NO_CHARGES = Charges()
