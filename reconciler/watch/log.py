"""The watcher's log: one event a line on standard error, as JSON for programs or in words for people."""

from __future__ import annotations

import sys
from typing import Any

import structlog


def configure(log_format: str, *, verbose: bool) -> structlog.typing.FilteringBoundLogger:
    """The logger. ``log_format``: text or json; ``verbose``: debug lines too."""
    json = log_format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10 if verbose else 20),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
