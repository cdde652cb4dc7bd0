"""PID 1 of a worker container: joins the job, renews its Lease, and runs the workers of each round.

Standard library only, Python 3.9 and later: the agent runs in the user's image.
"""
