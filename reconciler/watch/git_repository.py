"""A git repository's files at the head of one branch: fetched, checked out beside the last ones, and swapped by a link.

Everything stands in one root-only folder, which outlives a reboot: with the remote out of reach, the last good commit
is still there.

    mirror.git/     what was fetched
    trees/COMMIT/   a checkout
    current/NAME    a link to that of now; changed by a rename, so that nobody ever meets half a checkout. It bears the
                    repository's name, for a stack is named after the folder of its compose.yaml
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from reconciler.errors import NetapplyError
from reconciler.naming import digest
from reconciler.watch.git_command import Git
from reconciler.watch.git_origin import COMMIT, Origin

STATE = Path("/var/lib/netapply")
_SECONDS = 120.0
_FETCHED = "refs/netapply/fetched"
_ABBREVIATED = re.compile(r"[0-9a-fA-F]{4,63}")
_FAILURES_OF_A_MIRROR = 5
"""After so many in a row it is made anew: it may be spoilt, and costs one whole fetch."""


def folder_of(origin: Origin, host_name: str, environment: Mapping[str, str]) -> Path:
    """Where the repository's folder is, for the host of that name; systemd says where services keep such things."""
    state = Path(environment.get("STATE_DIRECTORY", "").partition(":")[0] or STATE)
    return state / "git" / f"{digest('git', host_name, origin.url, origin.ref):016x}"


class Repository:
    """One branch of one repository, in ``folder``. ``update`` may run in a thread of its own; ``stop`` ends it."""

    def __init__(self, origin: Origin, folder: Path, environment: Mapping[str, str], seconds: float = _SECONDS) -> None:
        origin.check()
        self.origin = origin
        self.folder = folder
        self.commit_without_folder = ""
        """The last commit that the folder of manifests was missing in; it counts as an empty one."""
        self._mirror = folder / "mirror.git"
        self._git = Git(origin, folder, environment, seconds)
        self._inside = {"GIT_DIR": str(self._mirror)}
        self._failures = 0

    @property
    def manifests(self) -> Path:
        """The folder of manifests, the same whatever the commit is."""
        return self._link / self.origin.path.strip("/")

    @property
    def _link(self) -> Path:
        return self.folder / "current" / self.origin.name

    def commit(self) -> str:
        """The commit that is checked out; empty before the first."""
        try:
            name = self._link.readlink().name
        except OSError:
            return ""
        return name if COMMIT.fullmatch(name) else ""

    def update(self) -> str:
        """Fetch, and check out what is new; the commit.

        Raises NetapplyError where that fails: what was checked out before stays.
        """
        try:
            return self._update()
        except OSError as error:
            raise self._git.failure(f"{error.filename or self.folder}: {error.strerror or error}") from None

    def stop(self) -> None:
        """End what runs, for good."""
        self._git.stop()

    def _update(self) -> str:
        self._make_folder()
        try:
            commit = self._fetch()
        except NetapplyError:
            self._failures += 1
            if self._failures % _FAILURES_OF_A_MIRROR == 0:
                shutil.rmtree(self._mirror, ignore_errors=True)
            raise
        self._failures = 0
        tree = self.folder / "trees" / commit
        if not tree.exists():
            self._check_out(commit, tree)
        self._complete(commit, tree)
        if commit != self.commit():
            self._swap(commit)
        return commit

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.folder, self.folder.parent):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                raise NetapplyError.of(f"{folder} is not a folder of ours", hint="remove it")
            folder.chmod(0o700)
        if self._link.parent.is_symlink():
            self._link.parent.unlink()  # itself the link, before repositories had names
        self._link.parent.mkdir(mode=0o700, exist_ok=True)
        if not (self._mirror / "HEAD").exists():
            shutil.rmtree(self._mirror, ignore_errors=True)
            # No template: that is where hooks would come from.
            self._git.run("init", "--quiet", "--bare", "--template=", str(self._mirror))
        # What a fetch that was killed left; nobody else works here.
        for left in (*self._mirror.glob("*.lock"), *self._mirror.glob("refs/netapply/*.lock")):
            left.unlink(missing_ok=True)
        self._take_files_as_they_are()
        self._trust()

    def _take_files_as_they_are(self) -> None:
        """No file's content is changed on its way out: not by root's filters (Git LFS, git-crypt), nor by git itself.

        What a commit says of its files counts less than this one (gitattributes(5)). A filter that is unset is as good
        as none; an encoding that is unset would be a wrong one.
        """
        attributes = self._mirror / "info" / "attributes"
        attributes.parent.mkdir(mode=0o700, exist_ok=True)
        attributes.write_text("* -filter -text -ident !eol !working-tree-encoding\n")

    def _trust(self) -> None:
        """A local repository belongs to whoever it belongs to: naming it is trust enough for git (safe.directory)."""
        lines = [f"[include]\n\tpath = {_quoted(path)}\n" for path in self._git.users_configurations()]
        if self.origin.place:
            place = str(Path(self.origin.place).resolve())
            lines += [f"[safe]\n\tdirectory = {_quoted(each)}\n" for each in (place, f"{place}/.git")]
        path = self.folder / "gitconfig"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(lines)

    def _fetch(self) -> str:
        """The commit that the remote has now, which is in the mirror or checked out."""
        name, object_name = self._choose()
        if object_name == self.commit() and (self.folder / "trees" / object_name).is_dir():
            return object_name
        words = ("fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--no-recurse-submodules")
        # By its name: the URL, which may hold a password, would be seen in the list of processes.
        self._git.run(*words, "--no-write-fetch-head", "origin", f"{name}:{_FETCHED}", more=self._inside)
        named = self._git.run("rev-parse", "--verify", "--end-of-options", f"{_FETCHED}^{{commit}}", more=self._inside)
        commit = named.strip()
        if not COMMIT.fullmatch(commit):
            raise self._git.failure(f"{commit[:80]!r} is no commit")
        return commit

    def _choose(self) -> tuple[str, str]:
        """What the remote calls what is followed, and what it is now (empty: not known).

        A branch comes before a tag: `git fetch NAME` would take the tag, which need not move.
        """
        ref = self.origin.ref
        names = (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}", ref)
        lines = self._git.run("ls-remote", "--quiet", "origin", *names, more=self._inside).splitlines()
        # What is asked for matches the ends of names, too.
        there = {name: object_name for object_name, _, name in (line.partition("\t") for line in lines)}
        for name in names:
            if name in there:
                return name, there[name]
        if COMMIT.fullmatch(ref):
            return ref, ""
        also = "; a commit must be written in full" if _ABBREVIATED.fullmatch(ref) else ""
        raise self._git.failure(f"it has no branch or tag {ref!r}{also}")

    def _check_out(self, commit: str, tree: Path) -> None:
        draft = tree.with_name(f".{commit}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        index = self.folder / "index"
        index.unlink(missing_ok=True)
        try:
            # Not `git checkout`, which runs hooks and writes into the mirror.
            places = {**self._inside, "GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(draft)}
            self._git.run("read-tree", commit, more=places)
            self._git.run("checkout-index", "--all", "--quiet", more=places, folder=draft)
            draft.rename(tree)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        finally:
            index.unlink(missing_ok=True)

    def _complete(self, commit: str, tree: Path) -> None:
        """git keeps no empty folder, so one that its commit lacks is an empty one."""
        place = tree
        for part in PurePosixPath(self.origin.path).parts:
            place = place / part
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                return  # what it leads to is nothing of ours to make
            if not place.exists():
                place.mkdir(mode=0o700)
                self.commit_without_folder = commit

    def _swap(self, commit: str) -> None:
        link, before = self._link, self.commit()
        draft = link.with_name(".next")  # like no repository's name
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"../trees/{commit}")
        draft.replace(link)
        # The one before stays for whoever is reading it.
        for tree in (self.folder / "trees").iterdir():
            if tree.name not in {commit, before}:
                shutil.rmtree(tree, ignore_errors=True)


def _quoted(text: str) -> str:
    """As git-config(1) reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
