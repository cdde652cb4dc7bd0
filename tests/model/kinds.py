"""The kind of every field of every record of a state: how the normal form treats it (records.py).

`KINDS` has a row for each record. A field that it lacks is an error, so that none can be forgotten.
"""

from __future__ import annotations

from tests.model.process import Process, Reserve

from elasticjob.controller.observe.memory import (
    Memory,
    Performed,
    Refusals,
    Renewal,
    Replacement,
)
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.plan import actions as plan
from elasticjob.rendezvous import actions, events
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.members.decide import JoinTime
from elasticjob.rendezvous.state import Hold, Me, Run
from elasticjob.rendezvous.view import Seen, View
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.cause import Cause
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.report import JoinWait, Progress, Recovery, Report
from elasticjob.wire.round import Round

# The kinds of fields. The first word is the kind, the second one a bound (see `Clock`).
SAME = "same"  # compared as it is, and never changed
N = "n"  # a round number; negative: none
NS = "ns"  # a set of round numbers
ROUND_VERSION = "round version"
LEASE_VERSION = "lease version"
PULSE_TIME = "pulse time"  # renewTime of the Round Lease, of which only equality matters
RENEWAL = "renewal"  # renewTime of an agent Lease, of which only equality matters
LEASE_UID = "lease uid"
UNREAD = "unread"  # no decision depends on it: made empty
FORGOTTEN = "forgotten"  # the same: made None
NONE = "none"  # no fault within the bounds fills it: an error if it is not empty
NO_CHARGE = "no charge"  # made Charges without any
READS = "reads"  # as many as make an agent silent are as many as more
AGED = "aged"  # an instant of the operator, relative and clipped (process.py)
STARTS = "starts"  # four are as many as more
BY_KEY = "by key"  # records by pod or index
BY_ACTION = "by action"
BY_CONDITION = "by condition"
MEASURED_AT = "measured at"  # an instant from which people read a duration: made 0
MEASURED_BY = "measured by"  # a record for a duration that people read: left out
MEASURED = "measured"  # a duration that people read: 0 if there is one
STATE = "state"  # annotation `agent`: an AgentState as text
RECORD = "record"
RECORDS = "records"
VIEW = "view"
REASON = "reason"  # a text that may name a round
PULSES = "pulses"  # three are as many as more
DUE = "due"  # an instant of which only matters whether it has come
SINCE = "since"  # an instant; how long ago it was matters up to a bound

KINDS: dict[type, dict[str, str]] = {
    Me: {
        "who": SAME, "stage": SAME, "request_pending": SAME, "request_at": DUE, "leaving": SAME,
        "leave_stop_at": DUE, "leave_exit_at": DUE, "exit": RECORD,
        "lease": RECORD, "round_at": "since round", "delay_since": "since delay", "highest_n": N,
        "cas_version": ROUND_VERSION, "cas_at": DUE, "frozen": SAME, "contact_at": "since contact",
        "contact_since": "since blind", "phase": SAME, "n": N, "cause": RECORD,
        "start_ms": MEASURED, "stop_ms": MEASURED, "progress": RECORD, "trained": SAME,
        "run": RECORD, "last_run_n": N, "ran_n": N,
        "fatal_cause": RECORD, "own_version": LEASE_VERSION, "written_state": STATE,
        "writing_state": STATE, "renew_at": DUE, "retry_renewal_at": DUE, "last_pulse": PULSE_TIME,
        "last_pulse_at": "since pulse", "renewals_since_pulse": PULSES,
        "doubted_pulse": PULSE_TIME, "holder_silent": SAME, "claim_at": DUE, "narrow": SAME,
        "hold": RECORD, "began_at": MEASURED_AT, "reaped_at": MEASURED_AT,
        "former_holder": MEASURED_BY,
    },
    Run: {
        "n": N, "delivered_at": DUE, "started": SAME, "done": SAME, "failure": RECORD,
        "failed_at": DUE, "noticed": RECORD, "exit_by": DUE, "alive": SAME, "stop_by": DUE,
    },
    Hold: {
        "view": VIEW, "opening": SAME, "complete": SAME, "streamed_version": ROUND_VERSION,
        "pulse_at": DUE, "pulsing": SAME, "sent_version": ROUND_VERSION,
        "refused_version": ROUND_VERSION, "pulse_version": ROUND_VERSION, "pulse_returned": SAME,
        "pending_gets": SAME, "get_at": DUE, "dirty": SAME, "judge_at": DUE, "waiting": SAME,
        "judge_again_at": DUE, "replaced_holder": SAME, "silent_outside": SAME,
        "left_at": MEASURED_AT, "join_wait": RECORD,
    },
    JoinTime: {"kind": SAME, "at": MEASURED_AT},
    View: {
        "job": SAME, "own": SAME, "seen": VIEW, "pulses": VIEW, "order": VIEW,
        "last_call_since": "since call",
    },
    Seen: {
        "lease": RECORD, "changed_at": "since change", "changed_pulse": VIEW, "order": VIEW,
        "node": SAME, "alive_at": MEASURED_AT, "got_at": VIEW, "got_pulse": VIEW,
    },
    RoundLease: {
        "version": ROUND_VERSION, "uid": SAME, "job_uid": SAME, "desired": RECORD,
        "round": RECORD, "holder": SAME, "renew_time": PULSE_TIME, "report": RECORD,
    },
    AgentLease: {
        "name": SAME, "pod": SAME, "version": LEASE_VERSION, "uid": LEASE_UID, "job_uid": SAME,
        "nonce": SAME, "renew_time": RENEWAL, "state": RECORD, "ended": SAME, "excused": SAME,
    },
    Desired: {
        **{name: SAME for name in Desired.__match_args__ if name not in ("charged", "pardoned")},
        "charged": NS, "pardoned": NS,
    },
    Round: {
        "n": N, "phase": SAME, "members": SAME, "master": SAME, "cause": RECORD,
        "charged": RECORD, "delay_ms": SAME, "starts": STARTS, "resets": SAME, "recovery": RECORD,
        "trained": UNREAD,
    },
    Charges: {"numbers": NS, "older": SAME, "forgiven": SAME, "at_start": UNREAD},
    Cause: {
        **{name: SAME for name in Cause.__match_args__}, "n": N,
    },
    AgentState: {
        **{name: SAME for name in AgentState.__match_args__},
        "n": N, "cause": RECORD, "start_ms": MEASURED, "stop_ms": MEASURED,
        "progress": RECORD,
    },
    Report: {
        "n": N, "running": SAME, "recovery": RECORD, "progress": RECORD, "outside": SAME,
        "silent": SAME, "trained": UNREAD, "delay_ms": SAME, "failed": SAME, "age_ms": MEASURED,
        "join_wait": RECORD,
    },
    JoinWait: {"kind": SAME, "left_ms": MEASURED},
    Recovery: {
        "n": N, "detect_ms": MEASURED, "stop_ms": MEASURED, "rendezvous_ms": MEASURED,
        "start_ms": MEASURED,
    },
    Progress: {"step": SAME, "total": SAME},
    Exit: {"code": SAME, "reason": REASON, "cause": SAME, "rank": SAME},
    actions.ReadRound: {},
    actions.CreateLease: {"state": STATE},
    actions.WriteState: {"state": STATE, "version": LEASE_VERSION},
    actions.CasRound: {
        "version": ROUND_VERSION, "round": RECORD, "holder": SAME, "report": RECORD,
    },
    actions.Pulse: {"version": ROUND_VERSION, "report": RECORD},
    actions.GetLease: {"name": SAME},
    actions.ReopenStream: {"wide": SAME},
    actions.Start: {"round": RECORD},
    actions.Stop: {"n": N, "grace_s": SAME},
    events.RoundSeen: {"lease": RECORD, "source": SAME},
    events.RoundGone: {},
    events.LeaseSeen: {"lease": RECORD, "by_get": SAME},
    events.LeaseGone: {"name": SAME, "by_get": SAME},
    events.GetFailed: {"name": SAME},
    events.ViewComplete: {"leases": RECORDS},
    events.RenewalReturned: {"lease": RECORD},
    events.CasFailed: {"conflict": SAME},
    events.PulseFailed: {"conflict": SAME},
    events.WorkersStarted: {"n": N, "start_ms": MEASURED},
    events.WorkerExited: {"n": N, "failure": RECORD, "fatal": SAME},
    events.FailureNoticed: {"n": N, "failure": RECORD},
    events.WorkersReaped: {"n": N},
    events.LeaveRequested: {},
    events.Progressed: {"progress": RECORD},
    events.Tick: {},
    # ---- the operator
    Process: {
        "memory": RECORD, "rounds": RECORDS, "pulse_at": AGED, "read": RECORD, "left": RECORDS,
        "seen": SAME, "n": N, "judged": SAME,
    },
    Memory: {
        "job_uid": SAME, "marked": SAME, "never_created": SAME, "created": SAME, "orphans": BY_KEY,
        "renewals": BY_KEY, "leases_listed_at": AGED, "unreadable_leases": NONE,
        "replacements": BY_KEY, "refusals": RECORD, "performed": BY_ACTION, "replaced": NONE,
        "restarts": UNREAD, "watched_at": FORGOTTEN, "seen_n": UNREAD,
        "prerequisites_at": FORGOTTEN, "since": BY_CONDITION, "status_times": NONE,
    },
    Renewal: {"renew_time": RENEWAL, "at": AGED, "reads": READS},
    Replacement: {"count": SAME, "at": AGED},
    Refusals: {"by_action": NONE, "generation": UNREAD, "pods": UNREAD},
    Performed: {"count": SAME, "at": AGED},
    PastRound: {
        "n": N, "phase": SAME, "members": SAME, "cause": RECORD, "charged": NO_CHARGE,
        "starts": UNREAD, "resets": NONE, "trained": UNREAD, "details": FORGOTTEN,
        "delay_ms": UNREAD, "recovery": FORGOTTEN,
    },
    plan.Mark: {"pod": SAME, "reason": SAME, "create": SAME, "excused": SAME},
    plan.WriteRound: {"version": ROUND_VERSION, "desired": RECORD, "clear_holder": SAME},
    plan.DeletePod: {"name": SAME, "uid": SAME, "why": SAME, "changed": SAME},
    plan.DeleteLease: {"name": SAME, "uid": LEASE_UID},
    plan.CreatePod: {"pod": SAME, "replaces": SAME},
    plan.ListLeases: {},
    Reserve: {"generations": SAME},
}  # fmt: skip
