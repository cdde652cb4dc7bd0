"""The operator: makes the pods of each job, follows its rounds, and says how it stands.

The way of an event through it, one module after the other:

    handlers   kopf's three watches hand on what they deliver
    cache     keeps it as records (observe), and says whether a plan could differ
    queue      runs one reconcile per job at a time; none slows the others
    reconcile  looks (snapshot), plans, acts, until nothing is to be done; then tells
    plan       what shall happen: pure, one policy per file
    execute    does it, with what manifest and bundle describe; memory keeps what was learned
    status     says how the job stands, from conditions, phase, failure and trouble
    events     what has become different, for `kubectl describe`; metrics, for Prometheus

resync finds what the watches lost. runtime starts all of it, when election has let it; health tells
whether it lives. Only kube talks to the API server, only settings reads flags. With the operator
away every job goes on: agents restart, drop and charge by themselves (see rendezvous).
"""
