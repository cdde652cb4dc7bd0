"""The operator: creates and replaces the pods of each job, and writes its status and events.

What happens to an event, one folder or module after the other:

    watch      receives objects from kopf's watches and caches them; filters what changes no plan
    queue      runs one reconciliation per job at a time, several jobs in parallel
    reconcile  observes, plans and acts until the plan has no more actions, then reports
    observe    parses the objects of one job into frozen records: the snapshot
    plan       decides what to do: pure, one policy per module
    act        sends the requests, with the manifests of pods and of the agent
    report     computes status, conditions, events and metrics

runtime starts all parts once this process leads (lead); resync lists all objects to find what the
watches missed; allowance and metered limit the requests of each job; health serves /livez, /readyz
and /metrics. Only kube sends requests, only settings reads flags. While the operator is away,
agents restart and continue without it (see rendezvous).
"""
