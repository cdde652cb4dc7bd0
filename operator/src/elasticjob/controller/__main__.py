"""`python -m elasticjob.controller`: the operator."""

from __future__ import annotations

import asyncio
import logging
import sys

from elasticjob.controller import logs
from elasticjob.controller import settings as settings_
from elasticjob.controller.kube import KubeError, RefusedError
from elasticjob.controller.settings import Settings, SettingsError

EXIT_USAGE = 2
EXIT_FAILED = 1

log = logging.getLogger("elasticjob.controller")


def main() -> int:
    """Run the operator. Exit code: 0 after a signal, 2 for wrong settings, 1 after a failure."""
    try:
        settings = settings_.parse(sys.argv[1:])
    except SettingsError as error:
        print("\n".join(f"elasticjob.controller: {line}" for line in error.lines), file=sys.stderr)
        return EXIT_USAGE
    logs.configure(settings)
    return _run(settings)


def _run(settings: Settings) -> int:
    from elasticjob.controller.runtime import Operator  # half a second: after the settings

    code = 0
    try:
        asyncio.run(Operator(settings).run())
    except* RefusedError as refused:
        log.error("%s", _first(refused))
        code = EXIT_USAGE
    except* KubeError as failed:
        log.error("%s", _first(failed))
        code = EXIT_FAILED
    except* Exception as failed:
        log.error("a part failed", exc_info=failed)
        code = EXIT_FAILED
    return code


def _first(group: BaseExceptionGroup[KubeError]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


if __name__ == "__main__":
    sys.exit(main())
