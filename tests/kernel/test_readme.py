"""The README's example is true: its manifest gives the plan that is printed below it, and then nothing to do."""

from __future__ import annotations

import re
from pathlib import Path

from tests.kernel.lab import Lab

README = Path(__file__).parents[2] / "README.md"


def _block(marker: str) -> str:
    found = re.search(rf"<!-- example: {re.escape(marker)} -->\n```\w+\n(.*?)```\n", README.read_text(), re.DOTALL)
    assert found, f"README.md has no example {marker}"
    return found[1]


def test_the_example_prints_what_the_readme_says(lab: Lab) -> None:
    host = lab.host()
    host.write("hello.yaml", _block("hello.yaml"))

    planned = host.netapply("plan", "hello.yaml", check=False)

    assert planned.returncode == 2, planned.stderr
    assert f"$ netapply plan hello.yaml\n{planned.stdout}" == _block("netapply plan hello.yaml")


def test_the_example_comes_up_and_has_nothing_left_to_do(lab: Lab) -> None:
    host = lab.host()
    host.write("hello.yaml", _block("hello.yaml"))
    before = host.snapshot()

    host.netapply("up", "hello.yaml")
    again = host.netapply("plan", "hello.yaml")
    host.netapply("down", "hello.yaml")

    assert again.stdout == "Nothing to do.\n"
    assert before.difference(host.snapshot()) == []
