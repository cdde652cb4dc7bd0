"""The format of the operator's log: JSON lines in a cluster, text on a terminal.

All loggers, kopf's too, are the standard library's; structlog formats their records.
`bind_contextvars(job=...)` adds a field to all records that the current task logs.
"""

from __future__ import annotations

import logging
import sys

from structlog import contextvars, dev, processors, stdlib
from structlog.typing import EventDict, Processor

from elasticjob.controller.settings import Settings
from elasticjob.wire.untrusted import plain

QUIET = {
    "kopf": logging.WARNING,
    # The watches raise what these two log.
    "kopf._core.reactor.orchestration": logging.CRITICAL,
    "kopf._core.reactor.running": logging.CRITICAL,
    "urllib3": logging.ERROR,
}
FIELDS: tuple[Processor, ...] = (
    processors.TimeStamper(fmt="iso", utc=True),
    stdlib.add_log_level,
    stdlib.add_logger_name,
    contextvars.merge_contextvars,
    processors.EventRenamer("event"),  # moves the text behind the fields
)


def configure(settings: Settings) -> None:
    """Write all logs to stderr, in the format and from the level of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings.log_format, sys.stderr.isatty()))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def formatter(log_format: str, terminal: bool) -> logging.Formatter:
    """Return the formatter for json, text or auto; a terminal gets colors, and text for auto."""
    text = log_format == "text" or (log_format == "auto" and terminal)
    last: tuple[Processor, ...] = (processors.JSONRenderer(ensure_ascii=False),)
    if text:
        last = (_one_line, _text(colors=terminal))
    meta = stdlib.ProcessorFormatter.remove_processors_meta
    return stdlib.ProcessorFormatter(
        foreign_pre_chain=FIELDS,
        processors=[meta, processors.format_exc_info, _plain, *last],
    )


def _text(colors: bool) -> Processor:
    return dev.ConsoleRenderer(colors=colors, exception_formatter=dev.plain_traceback)


def _plain(logger: object, method: str, fields: EventDict) -> EventDict:
    """Replace control characters, as some texts come from workers."""
    return {k: plain(value) if isinstance(value, str) else value for k, value in fields.items()}


def _one_line(logger: object, method: str, fields: EventDict) -> EventDict:
    """Escape line feeds, as what follows would look like another record. A traceback has lines."""
    lines = fields.pop("exception", None)
    kept = {k: v.replace("\n", "\\n") if isinstance(v, str) else v for k, v in fields.items()}
    return kept if lines is None else {**kept, "exception": lines}
