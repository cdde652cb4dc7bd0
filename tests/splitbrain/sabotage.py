"""Agents with one error each, which show that a run can fail: a changed line in the agent's zip."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from elasticjob.controller.act.bundle import Bundle


@dataclass(frozen=True)
class Sabotage:
    """A text in a module of the agent, and what replaces it."""

    module: str
    old: str
    new: str

    def apply(self, bundle: Bundle) -> Bundle:
        """Return the zip with the changed module."""
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(bundle.data)) as source, zipfile.ZipFile(out, "w") as made:
            for entry in source.infolist():
                text = source.read(entry).decode()
                if entry.filename == f"elasticjob/{self.module}":
                    assert text.count(self.old) == 1, f"{self.module}: {self.old!r}"
                    text = text.replace(self.old, self.new)
                made.writestr(entry, text)
        return Bundle(out.getvalue())


SABOTAGES = {
    "skips-cas": Sabotage(
        "wire/lease.py", 'meta: Json = {"resourceVersion": version}', "meta: Json = {}"
    ),
    "does-not-reap": Sabotage(
        "agent/workers/shutdown.py", "        if self._tree.is_empty():\n            return True",
        "        return True",
    ),
    "runs-older-rounds": Sabotage(
        "rendezvous/rules/run.py",
        'return me.last_run_n < n and (n >= me.highest_n or "3-newest" in me.without)',
        "return me.last_run_n != n",
    ),
}  # fmt: skip
