"""A worker that damages every file that its agent reads, and then fails. Standard library only.

Its arguments are a seed and the path of the termination log. The agent is an ordinary one: it must
outlive each of these files, report the failure, and start the worker again.
"""

import contextlib
import os
import random
import shutil
import sys
import time

NESTED = "[" * 100_000
JUNK = "\x1b]0;title\x07\x1b[2J\u202eevil\r\n\0"
TEXTS = ("", NESTED, "null", '{"step":' + "9" * 5000 + "}", '{"step":1e999}', JUNK * 1000)
ERRORS = (
    '{"message":"\\ud800"}',
    '{"message":{"message":' + NESTED + "}}",
    '{"message":{"message":"x","extraInfo":{"timestamp":"' + "9" * 5000 + '"}}}',
    '{"message":{"message":"' + "x" * 250_000 + '"}}',
)


def remove(path):
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)


def text(path, content):
    with open(path, "w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(content)


def replace(path, draw, texts):
    """Put something else in the place of a file."""
    remove(path)
    kind = draw.choice(("fifo", "directory", "device", "token", "loop", "text", "text", "text"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.makedirs(os.path.join(path, "below"))
    elif kind == "text":
        text(path, draw.choice(texts))
    else:
        own = os.path.join(os.environ["ELASTICJOB_TOKEN_DIR"], "token")
        os.symlink({"device": "/dev/zero", "token": own, "loop": path}[kind], path)


def main():
    seed, log = sys.argv[1:]
    draw = random.Random(f"{seed} {os.environ['ELASTICJOB_ROUND']}")
    progress, error = os.environ["ELASTICJOB_PROGRESS_FILE"], os.environ["TORCHELASTIC_ERROR_FILE"]
    with contextlib.suppress(OSError):
        for _ in range(20):
            replace(progress, draw, TEXTS)
            replace(error, draw, TEXTS + ERRORS)
            time.sleep(0.1)  # the agent reads them from time to time
        with contextlib.suppress(OSError):
            text(log, draw.choice(TEXTS + ERRORS))
        print(JUNK * 10, flush=True)
    os._exit(draw.choice((0, 1, 7, 137)) if draw.random() < 0.9 else 3)


main()
