"""The recipes of docs/pull-requests.md do what they say: their very commands are run, as a forge's runner does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.cli import plan

GUIDE = Path(__file__).parents[2] / "docs" / "pull-requests.md"
REPOSITORY = GUIDE.parents[1]
OLD = 'name: shop\ncontainers: {web: {ports: ["8080:80"]}}\n'
NEW = 'name: shop\ncontainers: {web: {ports: ["8080:80", "8443:443"]}}\n'
FORGES = ("github", "gitlab")
HAS_BASE = any("--base" in option.opts for option in plan.command.params)


def recipe(forge: str) -> Any:
    found = re.search(rf"<!-- recipe: {forge} -->\n```yaml\n(.*?)```\n", GUIDE.read_text(), re.DOTALL)
    assert found, forge
    return YAML(typ="safe").load(found[1])


def scripts(forge: str) -> list[str]:
    """What the job runs, in order."""
    if forge == "gitlab":
        return [str(each) for each in recipe(forge)["plan"]["script"]]
    return [step["run"] for step in recipe(forge)["jobs"]["plan"]["steps"] if "run" in step]


@dataclass
class Runner:
    """A checkout with programs that only write down what they were asked, but for netapply and git."""

    folder: Path
    programs: Path

    def stub(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def git(self, *arguments: str) -> str:
        names = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")
        command = ["git", *names, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def run(self, forge: str, base: str) -> int:
        """The exit code of the job: that of the first script that fails, and none after it is run."""
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "BASE": base,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "NUMBER": "7",
            "CI_API_V4_URL": "https://forge.example/api/v4",
            "CI_PROJECT_ID": "12",
            "CI_MERGE_REQUEST_IID": "7",
            "PLAN_TOKEN": "token",
        }
        for script in scripts(forge):
            shell = ["bash", "-e", "-o", "pipefail", "-c", script]
            done = subprocess.run(shell, cwd=self.folder, env=environment, check=False, timeout=60)
            if done.returncode:
                return done.returncode
        return 0

    @property
    def posted(self) -> str:
        """What the forge was told; empty: nothing."""
        path = self.folder / "posted"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    found = Runner(tmp_path / "checkout", tmp_path / "programs")
    found.folder.mkdir()
    found.programs.mkdir()
    found.stub("pip", 'test "$*" = "install netapply"')
    for name in ("gh", "curl"):
        found.stub(name, 'printf "%s\\n" "$0 $*" >>posted; cat plan.md >>posted')
    found.git("init", "--quiet")
    return found


@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize(("code", "passes"), [(0, True), (2, True), (1, False), (127, False)])
def test_only_a_plan_without_error_passes_and_is_posted(runner: Runner, forge: str, code: int, passes: bool) -> None:
    runner.stub("netapply", f'printf "%s\\n" "$*" >asked; echo "the plan"; exit {code}')
    assert (runner.run(forge, "abc") == 0) is passes
    assert (runner.folder / "asked").read_text() == "plan --base git:abc --matrix --format markdown stack.yaml\n"
    assert ("the plan" in runner.posted) is passes


def test_github_edits_its_comment_and_shows_the_plan_in_the_summary(runner: Runner) -> None:
    runner.stub("netapply", 'echo "the plan"; exit 2')
    assert runner.run("github", "abc") == 0
    assert "gh pr comment 7 --body-file plan.md --edit-last --create-if-none" in runner.posted
    assert (runner.folder / "summary.md").read_text() == "the plan\n"


def test_gitlab_posts_a_note(runner: Runner) -> None:
    runner.stub("netapply", 'echo "the plan"; exit 2')
    assert runner.run("gitlab", "abc") == 0
    assert "--header PRIVATE-TOKEN: token --form body=<plan.md" in runner.posted
    assert "https://forge.example/api/v4/projects/12/merge_requests/7/notes" in runner.posted


def test_nothing_that_a_stranger_chose_stands_in_a_script() -> None:
    for script in scripts("github"):
        assert "${{" not in script


@pytest.mark.skipif(not HAS_BASE, reason="this netapply has no plan --base yet")
@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [(NEW, "publish 8443/tcp -> web:443"), (OLD, "Nothing to do."), ("name: [", "")],
)
def test_with_netapply_itself(runner: Runner, forge: str, text: str, expected: str) -> None:
    runner.stub("netapply", f'PYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m reconciler "$@"')
    path = runner.folder / "stack.yaml"
    path.write_text(OLD)
    runner.git("add", "stack.yaml")
    runner.git("commit", "--quiet", "--message", "old")
    base = runner.git("rev-parse", "HEAD")
    path.write_text(text)
    assert (runner.run(forge, base) == 0) is bool(expected)
    assert bool(runner.posted) is bool(expected)
    assert expected in runner.posted
