"""Where the interpreter of the user's image begins; also the zip's __main__.

This file is read by whatever `python3` the image has, so it must parse on any Python 3 and check
the version before it imports anything of ours. The end is os._exit: threads may still be waiting
for an answer, and nothing of theirs matters any more.
"""

import gc
import os
import sys
from importlib.machinery import ModuleSpec

OLDEST = (3, 9)
EXIT_SETUP = 75


def refuse() -> int:
    """Says that this Python is too old, also where the operator will read it."""
    found = ".".join(str(part) for part in sys.version_info[:2])
    message = "python3 in the image is " + found + ", ElasticJob's agent needs 3.9 or later"
    message += ": use an image with a newer python3"
    path = os.environ.get("ELASTICJOB_TERMINATION_LOG") or "/dev/termination-log"
    try:
        with open(path, "w") as file:
            file.write('{"cause": "SetupFailed", "code": 75, "message": "' + message + '"}')
    except OSError:
        pass  # the line on stderr must do
    sys.stderr.write('[elasticjob] agent failed  reason="' + message + '"\n')
    return EXIT_SETUP


class ZipImporter:
    """Imports our modules from the zip that this file is in.

    zipimport would compile each of them twice: every import asks its get_filename first, and that
    compiles the module to throw the code away (seen in 3.9 to 3.13). It would be a third of the
    time that an agent needs to join.
    """

    def __init__(self, archive):  # type: ignore[no-untyped-def]
        self.archive = archive

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """The spec of a module of ours, else None."""
        if name.partition(".")[0] != "elasticjob":
            return None
        for tail in ("/__init__.py", ".py"):
            origin = self.archive.archive + "/" + name.replace(".", "/") + tail
            try:
                self.archive.get_data(origin)
            except OSError:
                continue
            is_package = tail != ".py"
            spec = ModuleSpec(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]
            spec.has_location = True
            return spec
        return None

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        """Nothing special."""
        return None

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        """Compiles it once and runs it."""
        origin = module.__spec__.origin
        source = self.archive.get_data(origin)
        exec(compile(source, origin, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name):  # type: ignore[no-untyped-def]
        """For the lines of a traceback."""
        spec = self.find_spec(name)  # type: ignore[no-untyped-call]
        return self.archive.get_data(spec.origin).decode() if spec else None


def run() -> int:
    """The agent; its signals come first, because PID 1 is deaf until they have handlers."""
    if sys.version_info < OLDEST:
        return refuse()
    loader = globals()["__loader__"]
    if type(loader).__name__ == "zipimporter":
        sys.meta_path.insert(0, ZipImporter(loader))  # type: ignore[no-untyped-call]
    from elasticjob.agent.signals import Signals

    signals = Signals()

    gc.disable()
    from elasticjob.agent.main import main

    gc.freeze()  # what was imported stays: it is never searched for garbage
    gc.enable()
    return main(signals, sys.argv[1:])


if __name__ == "__main__":
    code = run()
    sys.stderr.flush()
    os._exit(code)
