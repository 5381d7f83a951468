"""libnftables, through ctypes: whole nft scripts in this process, and listings as JSON."""

from __future__ import annotations

import ctypes
import functools
import json
from types import TracebackType
from typing import Any, Self

from reconciler.errors import NetapplyError, Problem

_JSON = 1 << 4
_STATELESS = 1 << 2
_NUMERIC = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10
_TERSE = 1 << 11
"""Bits of NFT_CTX_OUTPUT_*, nftables/libnftables.h. Numeric output needs no files under /etc."""


class RefusedError(NetapplyError):
    """nft or the kernel refused a command; nothing of its transaction was done."""

    @classmethod
    def refused(cls, reason: str) -> Self:
        """The error for the library's words."""
        hint = "run as root (CAP_NET_ADMIN)" if "Operation not permitted" in reason else ""
        return cls([Problem(f"nftables: {reason}", hint=hint)])


class NoSuchObjectError(RefusedError):
    """What was to be listed is not there."""


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        message = "libnftables.so.1 was not found, so the firewall cannot be read or written"
        raise NetapplyError.of(message, hint="install it: apt install libnftables1") from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_free.restype = None
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


class Nftables:
    """A context of libnftables; it belongs to the network namespace of the thread that makes it.

    To be used by one thread, while that thread is in the same namespace. A context manager.
    """

    __slots__ = ("_context", "_library")

    def __init__(self) -> None:
        self._library = _library()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            message = "libnftables could not be initialised"
            raise NetapplyError.of(message, hint="run as root, on a kernel with nf_tables")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the context; closing twice is fine."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, text: str) -> str:
        """Run a script as one transaction and give what it prints.

        Raises RefusedError with the library's message; then nothing of it was done.
        """
        return self._run(text, 0)

    def query_json(self, command: str, *, terse: bool = False) -> dict[str, Any]:
        """What a ``list`` command gives, numbers instead of names, without counters.

        ``terse`` leaves the elements of sets and maps out. Raises NoSuchObjectError where there is
        nothing of that name, else RefusedError, also for what the library cannot say. Not for
        tables with flags (``nft_tables``), of which version 1.0.6 reads memory that it has freed.
        """
        output = self._run(command, _JSON | _STATELESS | _NUMERIC | (_TERSE if terse else 0))
        try:
            found: dict[str, Any] = json.loads(output) if output else {"nftables": []}
        except ValueError:
            raise RefusedError.refused("libnftables cannot say in JSON what stands there") from None
        return found

    def _run(self, text: str, flags: int) -> str:
        self._library.nft_ctx_output_set_flags(self._context, flags)
        status = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        # Both buffers are read each time: reading empties them.
        output = (self._library.nft_ctx_get_output_buffer(self._context) or b"").decode(errors="replace")
        complaint = (self._library.nft_ctx_get_error_buffer(self._context) or b"").decode(errors="replace")
        if status:
            raise _refusal(complaint)
        return output


def _refusal(complaint: str) -> RefusedError:
    """The error, without the script's text that nft prints below each of its lines."""
    lines = [line.partition("Error: ")[2] for line in complaint.splitlines() if "Error: " in line]
    reason = "; ".join(dict.fromkeys(lines)) or complaint.strip()[:200] or "no reason given"
    if reason.startswith("No such file or directory"):
        return NoSuchObjectError.refused(reason)
    return RefusedError.refused(reason)
