"""Seeded bugs of the kinds that people make, each a text that is replaced in a shipped function."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One bug. text: what goes wrong; old: occurs once in the function; new: what replaces it."""

    name: str
    text: str
    module: str  # below elasticjob
    function: str
    old: str
    new: str
    by: tuple[str, ...] = ()  # catchers that must each find it


DECIDE, JUDGE = "rendezvous.members.decide", "rendezvous.members.judge"
LEARN, VIEW, HOLD = "rendezvous.learn", "rendezvous.view", "rendezvous.rules.hold"
CRASH, CLAIM, RUN = "rendezvous.rules.crash", "rendezvous.rules.claim", "rendezvous.rules.run"
CALLS, WATCH = "agent.api.calls", "agent.api.watch"
LOST, MISSING = "controller.plan.lost", "controller.plan.missing"
ENDED, LEFTOVERS = "controller.plan.ended", "controller.plan.leftovers"
DESIRED, MEMORY = "controller.plan.desired", "controller.plan.memory"
LASTING, SNAPSHOT = "controller.observe.lasting", "controller.observe.snapshot"
CACHE = "controller.watch.cache"

# The time in a text that has one, else the local time.
READ_CLOCK = (
    "__import__('datetime').datetime.fromisoformat({0}.replace('Z', '+00:00')).timestamp()"
    " if {0}.endswith('Z') else now"
)

WRITES = (
    Bug(
        "write-without-version", "a write has no resourceVersion, so it is no compare-and-swap",
        "wire.lease", "_patch", '{"resourceVersion": version}', "{}",
    ),
    Bug(
        "conflict-is-no-answer", "a refused round counts as one without an answer",
        CALLS, "_write_round", "response is not None and response.status == 409", "False",
    ),
    Bug(
        "older-job-is-mine", "an agent takes the Lease that an older job left",
        CALLS, "_existing_lease", "if job_uid == call.identity.job_uid:", "if job_uid:",
    ),
    Bug(
        "any-incarnation-is-mine", "an agent takes the Lease of another incarnation",
        LEARN, "_foreign_reason", "lease.nonce != me.who.nonce", "not lease.nonce",
    ),
    Bug(
        "number-reused", "the holder ignores numbers that are higher than the current one",
        DECIDE, "next_n", "max(case.round.n, case.highest_n)", "case.round.n",
    ),
    Bug(
        "number-reused-by-crash", "a crash ignores numbers that are higher than the current one",
        CRASH, "round_after_crash", "max(me.highest_n, run.n)", "run.n",
    ),
    Bug(
        "failed-changes", "a round that is Failed changes",
        "rendezvous.rule_helpers", "writable_round",
        "lease.round.phase.is_terminal", "lease.round.phase is Phase.SUCCEEDED",
    ),
    Bug(
        "second-write-at-once", "an agent writes a version twice, before the first answer",
        "rendezvous.rule_helpers", "writable_round", "me.cas_version or ", "",
    ),
)  # fmt: skip
NEWS = (
    Bug(
        "old-round-replaces-newer", "an older version of the Round Lease replaces a newer one",
        LEARN, "_is_newest", "return is_newer(event.lease.version, me.lease.version)",
        "return True",
    ),
    Bug(
        "old-lease-replaces-newer", "an older version of an agent Lease replaces a newer one",
        VIEW, "with_lease", "is_newer(lease.version, old.lease.version)",
        "lease.version != old.lease.version",
    ),
    Bug(
        "old-pod-replaces-newer", "the operator takes an older version of a pod for the newest",
        CACHE, "_update_pod", "version < entry.versions.get(name, 0)", "False",
    ),
    Bug(
        "absent-members-forgotten", "an initial set lacks a member, and the view does, too",
        VIEW, "with_initial_set", "{pod: None for pod in members - frozenset(found)}", "{}",
    ),
    Bug(
        "gap-hides-deletions", "the view keeps Leases that an initial set does not have",
        VIEW, "with_initial_set", "seen=seen,", "seen={**view.seen, **seen},",
    ),
    Bug(
        "list-hides-deletions", "the operator keeps objects that a list does not have",
        CACHE, "Listing.end", "not in self._found and", "not in self._found and False and",
    ),
    Bug(
        "resumes-after-410", "a watch resumes from a version that the server has dropped",
        WATCH, "Watch.conversation", "self._version = None", "pass",
    ),
    Bug(
        "first-watch-for-ever", "the events of a watch that was opened again do not count",
        WATCH, "Succession.accept", "number == self._next", "self._current == 0",
    ),
)  # fmt: skip
TIMES = (
    Bug(
        "remote-clock", "the silence of a Lease is measured by the clock of its agent",
        VIEW, "_new_entry", "return Seen(lease, now,",
        f"if lease: now = {READ_CLOCK.format('lease.renew_time')}\n"
        "    return Seen(lease, now,",
    ),
    Bug(
        "remote-pulse-clock", "the silence of the holder is measured by its clock",
        LEARN, "_record_pulse", "last_pulse_at=now)",
        f"last_pulse_at={READ_CLOCK.format('event.lease.renew_time')})",
    ),
    Bug(
        "wake-up-lost", "a rule that waits does not record for what",
        "rendezvous.now", "Now.has_come", "self.again_at = min(self.again_at, instant)", "pass",
    ),
    Bug(
        "last-wake-up-wins", "a rule that waits forgets what another one waits for",
        "rendezvous.now", "Now.has_come", "min(self.again_at, instant)", "instant",
    ),
    Bug(
        "judged-once", "the holder does not judge again when a time comes that it waited for",
        HOLD, "judge_members", "judge_again_at=case.now.again_at", 'judge_again_at=float("inf")',
    ),
    Bug(
        "silence-off-by-one", "the holder finds an agent silent after one pulse fewer",
        JUDGE, "is_silent", ">= pulses", ">= pulses - 1",
    ),
    Bug(
        "reads-off-by-one", "the operator finds an agent silent after one list fewer",
        LOST, "_without_renewal", ">= SILENT_READS", ">= SILENT_READS - 1",
    ),
    Bug(
        "pulses-off-by-one", "an agent checks the holder after one renewal fewer",
        CLAIM, "_check_holder", "me.renewals_since_pulse <", "me.renewals_since_pulse + 1 <",
    ),
    Bug(
        "cooldown-ignored", "newcomers restart an Active round within its cooldown",
        DECIDE, "join_time", "if is_forming else", "if True else",
    ),
    Bug(
        "delay-lost-in-forming", "a Forming round ends the start delay",
        DECIDE, "next_round", "return forming(case, base, remaining_delay_ms(case))",
        "return forming(case, base, 0)",
    ),
)  # fmt: skip
JUDGEMENTS = (
    Bug(
        "early-get-confirms", "a GET before the end of the silence confirms it",
        JUDGE, "is_confirmed_silent", "seen.got_pulse - seen.changed_pulse >= pulses",
        "seen.got_pulse >= seen.changed_pulse",
    ),
    Bug(
        "outside-without-get", "pods outside are reported as silent without a GET",
        JUDGE, "find_silent_outside",
        "frozenset(p for p in suspected if is_confirmed_silent(case, p, pulses))",
        "frozenset(suspected)",
    ),
    Bug(
        "holder-judges-itself", "the holder judges itself by its Lease, which it does not renew",
        JUDGE, "suspected_kind", "pod == case.view.own or ", "",
    ),
    Bug(
        "operator-judges-the-holder",
        "the operator judges the holder of a Forming round by its Lease, and deletes it",
        LASTING, "_is_judged_by_agents",
        "        or snapshot.is_holder(pod)  # clause 9-agents-judge-the-holder\n"
        "    ):\n"
        "        return True\n",
        "    ):\n"
        "        return True\n"
        "    if snapshot.lease.round.n >= 0:\n"
        "        return False\n",
        by=("sim",),
    ),
    Bug(
        "two-of-an-index", "a round has two pods of an index",
        JUDGE, "with_free_index", "if p.index not in held", "if p not in stays",
    ),
    Bug(
        "starts-next-to-old-workers", "workers start before the old ones are reaped",
        RUN, "may_start", " or is_alive(me)", "",
    ),
    Bug(
        "runs-a-round-twice", "an agent starts the workers of a round again",
        RUN, "may_start", "return me.last_run_n < n", "return True",
    ),
    Bug(
        "leaver-claims", "a leaving agent claims the holder role",
        CLAIM, "claim", "me.leaving or ", "",
    ),
)  # fmt: skip
CHARGES = (
    Bug(
        "charged-twice", "a crash is charged in the round that it ends as well",
        CRASH, "round_after_crash", "base.charged.with_charge(n, at_start=not base.trained)",
        "base.charged.with_charge(n).with_charge(run.n)",
    ),
    Bug(
        "departures-refund-crashes", "a planned departure strikes the charges of crashes",
        DECIDE, "some_lost_or_leaving", "losses = judged.charged_losses",
        "losses = judged.removed", by=("sim",),
    ),
    Bug(
        "leaver-strikes", "a loss strikes what was charged since a leaving member last reported",
        DECIDE, "some_lost_or_leaving", "strike_explained(case, losses,",
        "strike_explained(case, judged.removed,",
    ),
    Bug(
        "deletion-charged", "the loss of a deleted pod is charged",
        JUDGE, "Judgement.charged_losses", "if kind is not CauseKind.POD_DELETED", "",
    ),
    Bug(
        "budget-off-by-one", "one crash more than the budget restarts the job",
        "rendezvous.budget", "is_budget_spent", "desired) + 1 > desired", "desired) > desired",
    ),
    Bug(
        "losses-off-by-one", "the last loss of the budget ends the job",
        DECIDE, "some_lost_or_leaving", "> case.desired.max_restarts",
        ">= case.desired.max_restarts",
    ),
)  # fmt: skip
OPERATOR = (
    Bug(
        "replaced-before-mark", "a pod is replaced before its Lease is marked",
        MISSING, "_missing", "if ended.is_mark_missing(snapshot, current):", "if False:",
    ),
    Bug(
        "cleared-before-mark", "the holder role becomes vacant though its mark was refused",
        DESIRED, "after_marks", "not refused.may_try(snapshot, mark, now)", "False",
    ),
    Bug(
        "name-used-again", "an operator that was restarted uses a pod name again",
        SNAPSHOT, "Snapshot.next_generations",
        'load_pods(self.job.status.generations or "", "status.generations")', "()",
    ),
    Bug(
        "resync-drops-renewals", "a resync forgets since when an agent has no Lease",
        MEMORY, "after_resync",
        "if pod in found or not renewal.renew_time or before.renewals.get(pod) != renewal",
        "if pod in found",
    ),
    Bug(
        "needed-lease-deleted", "the Lease of a member or the holder is deleted",
        LEFTOVERS, "_is_unreferenced",
        "        snapshot.is_member(pod)  # clause 9-lease-of-member\n"
        "        or snapshot.is_holder(pod)  # clause 9-lease-of-holder\n"
        "        or is_newest",
        "        is_newest",
    ),
)  # fmt: skip
BUGS = (*WRITES, *NEWS, *TIMES, *JUDGEMENTS, *CHARGES, *OPERATOR)
