"""`python -m elasticjob.controller`: the operator."""

from __future__ import annotations

import asyncio
import logging
import sys

from elasticjob.controller import settings as settings_
from elasticjob.controller.kube import KubeError, RefusedError
from elasticjob.controller.settings import Settings, SettingsError

EXIT_USAGE = 2
EXIT_FAILED = 1


def main() -> int:
    """Exit 0 when told to end, 2 for wrong settings, 1 when a part failed: start it again."""
    try:
        settings = settings_.parse(sys.argv[1:])
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
    except* KubeError as failed:
        print(f"elasticjob.controller: {_first(failed)}", file=sys.stderr)
        code = EXIT_FAILED
    except* Exception as failed:
        logging.getLogger(__name__).error("a part failed", exc_info=failed)
        code = EXIT_FAILED
    return code


def _first(group: BaseExceptionGroup[KubeError]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _log(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    for part in ("orchestration", "running"):  # what they log is raised as well, by the watches
        logging.getLogger(f"kopf._core.reactor.{part}").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
