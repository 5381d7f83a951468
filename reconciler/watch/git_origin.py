"""Which manifests of which git repository are followed: a URL, the name of a branch, tag or commit, and a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from reconciler.errors import NetapplyError

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit's whole name."""

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST = 200
_FORBIDDEN = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{|//")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where manifests come from: ``path`` is the folder of the repository that they stand in."""

    url: str
    ref: str = "main"
    path: str = "."

    @property
    def shown(self) -> str:
        """The URL without what may be a password."""
        return without_credentials(self.url)

    @property
    def place(self) -> str:
        """Where it stands on this machine; empty for a remote one."""
        parts = self._parts
        if parts.scheme == "file":
            return parts.path
        # host:path is what ssh takes (git-clone(1)).
        return "" if parts.scheme or ":" in self.url.partition("/")[0] else self.url

    @property
    def name(self) -> str:
        """The repository's, as `git clone` would name its folder."""
        path = self._parts.path if "://" in self.url else self.url.rpartition(":")[2]
        path = path.rstrip("/").removesuffix("/.git").rstrip("/").removesuffix(".git")
        return path.rpartition("/")[2].lstrip(".")[:_LONGEST] or "repository"

    @property
    def has_secret(self) -> bool:
        """Whether the URL holds a password, or a user of HTTP's, for forges take a token in the place of one."""
        parts = self._parts
        return parts.password is not None or (parts.scheme in {"http", "https"} and parts.username is not None)

    @property
    def _parts(self) -> SplitResult:
        try:
            return urlsplit(self.url)
        except ValueError:  # such as an opening bracket alone
            raise NetapplyError.of(f"--git {self.shown!r}: not the URL or path of a repository") from None

    def check(self) -> None:
        """Raises NetapplyError for what git must never see as an argument, or what leads out of the repository."""
        if not self.url or self.url.startswith("-") or not self.url.isprintable():
            raise NetapplyError.of(f"--git {self.shown!r}: not the URL or path of a repository")
        if not _is_ref_name(self.ref):
            raise NetapplyError.of(f"--ref {self.ref!r}: not the name of a branch or tag, nor a commit")
        if self.path.startswith("/") or ".." in self.path.split("/") or not self.path.isprintable():
            raise NetapplyError.of(f"--path {self.path!r}: not a folder of the repository")


def without_credentials(text: str) -> str:
    """The text with user and password taken out of all URLs in it."""
    return _CREDENTIALS.sub("", text)


def _is_ref_name(text: str) -> bool:
    """The rules of git-check-ref-format(1), and nothing that git could take for an option."""
    parts = text.split("/")
    return (
        0 < len(text) <= _LONGEST
        and text.isprintable()
        and not _FORBIDDEN.search(text)
        and not text.startswith("-")
        and not text.endswith(".")
        and text != "@"
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
    )
