"""Where the interpreter of the user's image begins; also the zip's __main__.

This file is read by whatever `python3` the image has, so it must parse on any Python 3 and check
the version before it imports anything of ours. The end is os._exit: threads may still be waiting
for an answer, and nothing of theirs matters any more.
"""

import os
import sys

OLDEST = (3, 9)
EXIT_SETUP = 75


def refuse() -> int:
    """Says that this Python is too old, also where the operator will read it."""
    found = ".".join(str(part) for part in sys.version_info[:2])
    message = "the image's python3 is " + found + ", ElasticJob's agent needs 3.9 or later"
    path = os.environ.get("ELASTICJOB_TERMINATION_LOG") or "/dev/termination-log"
    try:
        with open(path, "w") as file:
            file.write('{"cause": "SetupFailed", "code": 75, "message": "' + message + '"}')
    except OSError:
        pass  # the line on stderr must do
    sys.stderr.write("[elasticjob] gives up  reason='" + message + "'\n")
    return EXIT_SETUP


def run() -> int:
    """The agent; its signals come first, because PID 1 is deaf until they have handlers."""
    if sys.version_info < OLDEST:
        return refuse()
    from elasticjob.agent.signals import Signals

    signals = Signals()

    from elasticjob.agent.main import main

    return main(signals, sys.argv[1:])


if __name__ == "__main__":
    code = run()
    sys.stderr.flush()
    os._exit(code)
