"""What of a git repository is followed, under which name, and what is said where it cannot be."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import NetapplyError
from reconciler.watch.git_command import reason_in
from reconciler.watch.git_follower import Follower
from reconciler.watch.git_origin import Origin
from reconciler.watch.git_repository import Repository

_IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "init.defaultBranch=main")


class Remote:
    """A repository in which people work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "ops"
        self.folder.mkdir()
        self.git("init", "-q")

    def commit(self, text: str | None) -> str:
        """A commit in which manifests/a.yaml is that, or (None) is not; its name."""
        path = self.folder / "manifests" / "a.yaml"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True) if text is None else path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", *_IDENTITY, *words], cwd=self.folder, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def repository_of(remote: Remote, ref: str = "main", path: str = "manifests/") -> Repository:
    folder = remote.folder.parent
    return Repository(Origin(str(remote.folder), ref, path), folder / "state" / "one", {"HOME": str(folder)})


def test_a_branch_comes_before_a_tag_of_the_same_name(remote: Remote) -> None:
    old = remote.commit("old")
    remote.git("tag", "main")
    repository = repository_of(remote)
    assert repository.update() == old
    new = remote.commit("new")
    assert repository.update() == new
    assert (repository.manifests / "a.yaml").read_text() == "new"
    remote.git("tag", "--annotate", "-m", "x", "v1", old)
    assert repository_of(remote, "v1").update() == old
    assert repository_of(remote, new).update() == new
    assert repository_of(remote, "HEAD").update() == new


def test_what_there_is_not_is_said(remote: Remote) -> None:
    commit = remote.commit("old")
    for ref, said in (("gone", "no branch or tag 'gone'$"), (commit[:9], "a commit must be written in full$")):
        with pytest.raises(NetapplyError, match=said):
            repository_of(remote, ref).update()


def test_a_folder_that_a_commit_lacks_is_an_empty_one(remote: Remote) -> None:
    remote.commit("a")
    repository = repository_of(remote)
    repository.update()
    assert repository.commit_without_folder == ""
    commit = remote.commit(None)
    repository.update()
    assert list(repository.manifests.iterdir()) == []
    assert repository.commit_without_folder == commit
    # Nothing is made where a link of the repository leads to.
    (remote.folder / "out").symlink_to(remote.folder.parent)
    remote.commit(None)
    repository = repository_of(remote, path="out/made")
    repository.update()
    assert not repository.manifests.exists()
    # A folder that was not asked for before is made in a commit that stands, too.
    repository = repository_of(remote, path="other/deep")
    repository.update()
    assert repository.manifests.is_dir()


@pytest.mark.parametrize("ref", ["feature/#12", "release+1", "_wip", "fix,2", "a@b", "ü", "x{1}"])
def test_names_that_git_takes(ref: str, remote: Remote) -> None:
    commit = remote.commit("a")
    remote.git("branch", ref)
    assert repository_of(remote, ref).update() == commit


@pytest.mark.parametrize(
    "ref",
    ["", "-x", "a..b", "a b", "a:b", "a*", "x.lock/y", ".x", "a//b", "/a", "a/", "a.", "@", "a@{1}", "a\nb", "a^"],
)
def test_names_that_git_refuses(ref: str) -> None:
    with pytest.raises(NetapplyError, match="--ref"):
        Origin("/srv/ops", ref).check()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/team/ops.git", "ops"),
        ("https://example.org/team/ops/", "ops"),
        ("git@example.org:ops.git", "ops"),
        ("ssh://git@example.org:22/srv/ops", "ops"),
        ("/srv/ops/.git", "ops"),
        ("https://example.org", "repository"),
        ("/srv/..", "repository"),
    ],
)
def test_the_repository_has_a_name(url: str, name: str) -> None:
    assert Origin(url).name == name


def test_the_folder_bears_the_name_of_the_repository(remote: Remote) -> None:
    remote.commit("a")
    repository = repository_of(remote, path=".")
    repository.update()
    # As it was made before.
    shutil.rmtree(repository.folder / "current")
    (repository.folder / "current").symlink_to(next((repository.folder / "trees").iterdir()))
    repository.update()
    assert repository.manifests.name == "ops"
    assert (repository.manifests / "manifests/a.yaml").is_file()


def test_a_url_that_is_none() -> None:
    with pytest.raises(NetapplyError, match="--git"):
        Origin("https://[x/ops").place  # noqa: B018 - it raises


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        (
            (
                "Warning: added 'x'\ngit@x: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n"
                "\nPlease make sure you have the correct access rights\nand the repository exists.\n"
            ),
            "git@x: Permission denied (publickey).",
        ),
        (
            (
                "fatal: detected dubious ownership in repository at '/x'\nTo add an exception for this directory, call:\n"
                "\n\tgit config --global --add safe.directory /x\n"
            ),
            "fatal: detected dubious ownership in repository at '/x'",
        ),
        (
            "warning: x\nfatal: Could not read from remote repository.\n",
            "fatal: Could not read from remote repository.",
        ),
        ("error: one\nerror: two\n", "error: one error: two"),
        ("", ""),
    ],
)
def test_the_line_that_tells_why(complaint: str, reason: str) -> None:
    assert reason_in(complaint) == reason


class _Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **_facts: object) -> None:
        self.lines.append(event)

    info = warning = error


def test_what_the_log_says_before_and_after_the_first_commit(remote: Remote) -> None:
    follower = Follower(repository_of(remote), 60.0)
    log = _Log()

    def update() -> None:
        follower.update()
        follower.tell(log)  # type: ignore[arg-type]  # as much of one as is used

    update()
    remote.commit("a")
    update()
    remote.commit(None)
    update()
    remote.folder.rename(remote.folder.with_name("aside"))
    update()
    follower.close()
    assert log.lines == [
        "git cannot be asked; there is no commit yet",
        "git",
        "git",
        "the commit has no such folder; it counts as an empty one",
        "git cannot be asked; the last commit stays",
    ]


def test_a_service_has_a_home_too(tmp_path: Path) -> None:
    repository = Repository(Origin("/srv/ops"), tmp_path, {})
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert repository._git.users_configurations() == [f"{home}/.config/git/config", f"{home}/.gitconfig"]


def test_files_are_taken_as_they_are_committed(remote: Remote) -> None:
    """Root's filters are not run, above all those of `git lfs install`, nor does a commit say how files come out."""
    home, mark = remote.folder.parent, remote.folder.parent / "mark"
    said = "".join(f"{key} = touch {mark}\n" for key in ("smudge", "clean", "process"))
    (home / ".gitconfig").write_text(f'[filter "lfs"]\n{said}required = true\n[core]\nautocrlf = true\n')
    # By the commit for one file, by root's own attributes for the other.
    (remote.folder / ".gitattributes").write_text(
        "*.yaml filter=lfs ident working-tree-encoding=UTF-16 text eol=crlf\n"
    )
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "attributes").write_text("* filter=lfs\n")
    # Nor does git change them on their way in here.
    (remote.folder / ".git" / "info" / "attributes").write_text("* -filter -text -ident !working-tree-encoding\n")
    text = "# $Id$\nname: shop\n"
    (remote.folder / "manifests").mkdir()
    (remote.folder / "manifests" / "b.yml").write_text(text)
    remote.commit(text)
    repository = Repository(Origin(str(remote.folder), "main", "manifests/"), home / "state", {"HOME": str(home)})
    repository.update()
    for name in ("a.yaml", "b.yml"):
        assert (repository.manifests / name).read_bytes() == text.encode()
    assert not mark.exists()
