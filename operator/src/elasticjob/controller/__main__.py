"""`python -m elasticjob.controller`: the operator."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from elasticjob.controller import settings as settings_
from elasticjob.controller.kube import RefusedError
from elasticjob.controller.settings import Settings, SettingsError

EXIT_USAGE = 2
EXIT_FAILED = 1


def main() -> int:
    """Exit 0 when told to end, 2 for wrong settings, 1 when a part failed: start it again."""
    try:
        settings = settings_.parse(sys.argv[1:], os.environ)
    except SettingsError as error:
        print("\n".join(f"elasticjob.controller: {line}" for line in error.lines), file=sys.stderr)
        return EXIT_USAGE
    _log(settings)
    return _run(settings)


def _run(settings: Settings) -> int:
    from elasticjob.controller.runtime import Operator  # after the check: it takes half a second

    code = 0
    try:
        asyncio.run(Operator(settings).run())
    except* RefusedError as refused:
        print(f"elasticjob.controller: {_first(refused)}", file=sys.stderr)
        code = EXIT_USAGE
    except* Exception as failed:
        logging.getLogger(__name__).error("a part failed", exc_info=failed)
        code = EXIT_FAILED
    return code


def _first(group: BaseExceptionGroup[RefusedError]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _log(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # the signals are ours
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
