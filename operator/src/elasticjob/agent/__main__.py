"""The entry point of the agent, and the `__main__` of its zip file.

The `python3` of the user's image reads this file, so it must parse on any Python 3 and check the
version before it imports another module. In a pod, `controller/act/launcher.py` starts it after a
check of the zip, and `__loader__` reads the bytes that were checked. This loader has the name and
the methods of the one that `python3 FILE` would provide, and operators of other releases rely on
it. It ends with os._exit, because threads of the agent may
still wait for the API server.
"""

import gc
import os
import sys
from importlib.machinery import ModuleSpec

OLDEST = (3, 9)
EXIT_SETUP = 75


def refuse(message):  # type: ignore[no-untyped-def]
    """Report on stderr and in the termination message why the agent cannot start."""
    import json  # not before the check of the version

    path = os.environ.get("ELASTICJOB_TERMINATION_LOG") or "/dev/termination-log"
    record = {"cause": "SetupFailed", "code": EXIT_SETUP, "message": message}
    try:
        with open(path, "w") as file:
            file.write(json.dumps(record))
    except OSError:
        pass  # the line on stderr remains
    sys.stderr.write('[elasticjob] agent set-up failed  reason="' + message + '"\n')
    return EXIT_SETUP


def too_old():  # type: ignore[no-untyped-def]
    """Return why this Python cannot run the agent."""
    found = ".".join(str(part) for part in sys.version_info[:2])
    message = "python3 in the image is " + found + ", ElasticJob's agent needs 3.9 or later"
    return message + ": use an image with a newer python3"


class ZipImporter:
    """Imports the agent's modules from the zip that contains this file.

    zipimport compiles each module twice: the import system first calls get_filename, which compiles
    the module and drops the code (Python 3.9 to 3.13). That would take a third of the time that an
    agent needs to join.
    """

    def __init__(self, archive):  # type: ignore[no-untyped-def]
        self.archive = archive

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """Return the spec of a module of this package, else None."""
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
        """Return None: the default module object is used."""
        return None

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        """Compile the module once and run it."""
        origin = module.__spec__.origin
        source = self.archive.get_data(origin)
        exec(compile(source, origin, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name):  # type: ignore[no-untyped-def]
        """Return the source, for the lines of a traceback."""
        spec = self.find_spec(name)  # type: ignore[no-untyped-call]
        return self.archive.get_data(spec.origin).decode() if spec else None


def run() -> int:
    """Run the agent. Signal handlers come first: without them PID 1 loses signals."""
    if sys.version_info < OLDEST:
        return refuse(too_old())  # type: ignore[no-untyped-call,no-any-return]
    loader = globals()["__loader__"]
    if type(loader).__name__ == "zipimporter":
        sys.meta_path.insert(0, ZipImporter(loader))  # type: ignore[no-untyped-call]
    from elasticjob.agent.signals import Signals

    signals = Signals()

    gc.disable()
    try:
        from elasticjob.agent.api.credentials import check_tls
        from elasticjob.agent.main import main

        check_tls()
    except (ImportError, OSError) as error:
        from elasticjob.agent.container_env import start_again_without_libraries

        return refuse(start_again_without_libraries(error))  # type: ignore[no-untyped-call,no-any-return]

    gc.freeze()  # imported objects stay, so the garbage collector need not search them
    gc.enable()
    return main(signals, sys.argv[1:])


if __name__ == "__main__":
    code = run()
    sys.stderr.flush()
    os._exit(code)
