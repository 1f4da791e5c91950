"""The log on standard error: one line for each record, whichever library it is from.

Knows no routes; who logs uses the standard library alone.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from service.core.request_context import REQUEST_ID

Style = Literal["auto", "json", "console"]
_OWN = ("service", "models")
_ACCESS = "service.access"


def configure(*, level: str, style: Style, stream: TextIO | None = None) -> None:
    """Send every record to `stream`, standard error by default.

    The level is that of the service itself; libraries are heard from warnings on, since what they
    say below that may hold texts.
    """
    wanted = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(stream or sys.stderr)
    on_terminal = handler.stream.isatty()
    as_json = style == "json" or (style == "auto" and not on_terminal)
    handler.setFormatter(JsonLines() if as_json else _console(colors=on_terminal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(wanted, logging.WARNING))
    for name in _OWN:
        logging.getLogger(name).setLevel(wanted)
    logging.captureWarnings(True)


def adopt_libraries() -> None:
    """Take their own handlers from libraries that brought some, so that all lines are alike."""
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if logger.handlers:
            logger.handlers.clear()
            logger.propagate = True


class JsonLines(structlog.stdlib.ProcessorFormatter):
    """One JSON object for each record."""

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # No tracebacks with variables: they hold texts.
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """The line; records of requests take a way of their own, in a quarter of the time."""
        fields = getattr(record, "fields", None)
        if record.name != _ACCESS or fields is None:
            return super().format(record)
        head = {"event": record.msg, "level": "info", "logger": _ACCESS, "timestamp": _now()}
        return json.dumps(head | fields)


def _console(*, colors: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
    )


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_request_id,
        structlog.stdlib.ExtraAdder(),
        _add_fields,
        _add_timestamp,
    ]


def _add_request_id(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    if (found := REQUEST_ID.get()) is not None:
        event.setdefault("request_id", found)
    return event


def _add_fields(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Those of a request's record, which hang on it as one."""
    event.update(event.pop("fields", {}))
    return event


def _add_timestamp(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    event["timestamp"] = _now()
    return event


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
