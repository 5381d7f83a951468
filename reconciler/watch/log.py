"""The watcher's log: one event a line on standard error, as JSON for programs or in words for people."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def configure(log_format: str, *, verbose: bool) -> FilteringBoundLogger:
    """The logger. ``log_format``: text or json; ``verbose``: debug lines too."""
    with _without_what_is_not_used():
        import structlog  # noqa: PLC0415 - in this block, as said there
    json = log_format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    standard_error = _StandardError()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10 if verbose else 20),
        logger_factory=lambda *_: standard_error,
        cache_logger_on_first_use=False,
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class _StandardError:
    """Writes lines to standard error. Those that it does not take are lost, and nothing else is.

    Not through sys.stderr, which would keep them and try again, at the latest when the process ends.
    """

    _DESCRIPTOR = 2

    def __init__(self) -> None:
        self._is_torn = False

    def msg(self, message: str) -> None:
        """Write a line."""
        # The disk that was full in the middle of a line has room again: the next one is not to be its end.
        line = f"{chr(10) if self._is_torn else ''}{message}\n"
        rest = memoryview(line.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
        length = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._DESCRIPTOR, rest) :]
        except OSError:
            self._is_torn = self._is_torn or len(rest) < length
        else:
            self._is_torn = False

    debug = info = warning = error = msg


@contextmanager
def _without_what_is_not_used() -> Iterator[None]:
    """structlog imports asyncio for loggers that are not ours, and rich, where installed, for tracebacks of its own.

    That would be 7 MB for as long as the watcher runs. In place of asyncio it gets a module that loads it when used.
    """
    standing_in = ModuleType("asyncio")
    # What a module does not have, it is asked for by this name (PEP 562).
    vars(standing_in)["__getattr__"] = lambda name: getattr(importlib.import_module("asyncio"), name)
    # None: importing it fails as if it were not installed (language reference, "The module cache").
    given: dict[str, Any] = {"asyncio": standing_in, "rich": None}
    names = given.keys() - sys.modules.keys()
    sys.modules.update({name: given[name] for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
