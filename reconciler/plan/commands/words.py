"""Lines for a POSIX shell: words that cannot mean anything else, remarks that cannot end early, texts given to programs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def line(*words: str) -> str:
    """One command, each word as it is: no character of a name means anything to the shell."""
    return shlex.join(words)


def remark(text: str) -> str:
    """A line that the shell skips. What could end it, or move the cursor of a terminal, is shown escaped."""
    return "# " + "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def fed(words: Sequence[str], text: str, redirection: str = "") -> str:
    """A command that reads ``text``, which ends with a newline, and nothing in it is expanded (POSIX 2.7.4)."""
    mark = "END"
    while mark in text.splitlines():
        mark += "_"
    target = f" >{shlex.quote(redirection)}" if redirection else ""
    return f"{shlex.join(words)}{target} <<'{mark}'\n{text}{mark}"


def written(path: str, text: str) -> str:
    """A command that writes a file, in place where it stands."""
    if not text or text.endswith("\n"):
        return fed(["cat"], text, path)
    return f"printf %s {shlex.quote(text)} >{shlex.quote(path)}"
