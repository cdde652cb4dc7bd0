"""PID 1 of a worker container: joins, beats, watches, starts and stops the workers of a round.

Standard library only, Python 3.9 and later: it runs in the user's image.
"""
