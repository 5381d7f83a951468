"""A plan as a comment: complete where it fits, folded with a note where it does not, and never markup of anybody's."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reconciler.errors import Problem
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.graph.topology import topology
from reconciler.plan import markdown
from reconciler.plan.diff import diff
from reconciler.plan.exposure import difference
from reconciler.plan.markdown import LIMIT, _fenced, escaped
from reconciler.plan.plan import Plan, order
from reconciler.reach.matrix import Cell, MatrixDifference
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import Resource, State

MAC = "02:00:00:00:00:01"


def containers(count: int, stack: str = "shop") -> list[Resource]:
    found: list[Resource] = [
        Bridge(stack, f"{stack}/front", f"{stack}_front", f"na-{stack}", MAC, "o"),
        NetworkPolicy(stack, f"{stack}/front", f"na-{stack}", ("10.0.0.0/8",)),
    ]
    for number in range(count):
        name = f"{stack}/web{number:04}"
        found += [
            Namespace(stack, name, "o"),
            Endpoint(stack, name, "eth0", f"nv-{number}", f"{stack}_front", f"na-{stack}", MAC, "o"),
            PublishedPort(stack, name, "tcp", "0.0.0.0", 1000 + number, "10.0.0.2", 80),
        ]
    return found


def rendered(
    before: State,
    after: State,
    *warnings: Problem,
    stacks: tuple[str, ...] = ("shop",),
    reaching: MatrixDifference | None = None,
) -> str:
    plan = Plan(order(diff(before, after), before, after), warnings)
    return markdown.render(plan, stacks, difference(before, after), topology(after, before), reaching)


def test_a_small_plan_is_whole() -> None:
    text = rendered(State(), State(containers(2)), Problem("the host drops it", severity="warning"))
    assert "| stack <code>shop</code> | 7 | 0 | 0 | nothing |" in text
    for part in ("> [!WARNING]", "### Becomes reachable", "```mermaid\nflowchart LR", "Objects of the kernel"):
        assert part in text
    assert "Folded" not in text
    assert text.count("<details>") == text.count("</details>") == 2


@pytest.mark.parametrize("count", [150, 300, 1000])
def test_a_large_plan_is_folded_and_says_what(count: int) -> None:
    text = rendered(State(), State(containers(count)))
    assert len(text.encode()) <= LIMIT
    assert "Folded to fit into a comment:" in text
    assert "the objects of the kernel" in text
    assert text.count("<details>") == text.count("</details>") >= 1
    assert f"{2 * count} to add" not in text
    assert f"{3 * count + 1} to add" in text
    # As much as fits is there.
    assert len(text) > LIMIT / 4


@pytest.mark.parametrize("count", [100, 150, 300])
def test_the_matrix_goes_before_what_changes(count: int) -> None:
    after = State(containers(count))
    names = [f"shop/{'w' * 50}{number:04}" for number in range(count)]
    cells = tuple(Cell(origin, target, (80, "tcp")) for target in names for origin in [*names, "outside"])
    alone, text = rendered(State(), after), rendered(State(), after, reaching=MatrixDifference(cells))
    assert len(text.encode()) <= LIMIT
    for part in ("### Becomes reachable\n", "<details><summary>Stack"):
        assert text.partition(part)[2].partition("```\n")[0] == alone.partition(part)[2].partition("```\n")[0]
    assert "who reaches whom (`netapply plan --matrix`)" in text
    found = re.findall(r"\+ \S+:80/tcp  from (.*)", text)
    assert found
    for named in found:
        assert named.startswith("outside, shop/")
        assert named.endswith(f" and {count - 7} more")
    few = MatrixDifference(cells[:3], cells[3:5])
    assert "of who reaches whom" not in rendered(State(), after, reaching=few)


def test_a_thousand_stacks_fit_too() -> None:
    after = State(each for number in range(1000) for each in containers(1, f"a-stack-of-some-name-{number:04}"))
    text = rendered(State(), after, stacks=tuple(f"a-stack-of-some-name-{number:04}" for number in range(1000)))
    assert len(text.encode()) <= LIMIT
    assert "Folded" in text
    assert "4000 to add" in text


def test_one_change_among_a_thousand_shows_its_part_of_the_topology() -> None:
    before = State(containers(1000))
    after = before.merged(State([PublishedPort("shop", "shop/web0500", "tcp", "0.0.0.0", 80, "10.0.0.2", 80)]))
    text = rendered(before, after)
    assert '"#126; shop/web0500<br/>1500 -#62; 80/tcp<br/>#43; 80 -#62; 80/tcp"' in text
    assert "999 unchanged containers of the topology" in text
    assert "web0499" not in text


def test_nothing_to_do() -> None:
    assert rendered(State(), State()) == "## netapply plan: <code>shop</code>\n\nNothing to do.\n"


EVIL = "`*_[x](http://y)|</details><script>@team #1 ~~\n# head\n```\n````"


def test_no_name_is_markup_and_none_ends_a_block() -> None:
    after = [*containers(1), Process("shop", "shop/web0000", (EVIL,))]
    text = rendered(State(), State(after), Problem(EVIL), stacks=(EVIL,))
    outside = re.sub(r"(`{3,})\w+\n.*?\n\1\n", "", text, flags=re.DOTALL)
    # Of what stands outside the blocks all is escaped; the blocks have a fence that is longer than any in them.
    for sign in ("<script>", "@team", "[x]", "`*", "~~"):
        assert sign not in outside
    assert "\n# head" not in text
    assert text.count("</details>") == 2 + text.count("'`*_[x](http://y)|</details>")


def test_no_line_ends_its_block() -> None:
    fence, *lines, end = _fenced("diff", ["a\n```", "````"])
    assert (fence, end) == ("`````diff", "`````")
    assert lines == ["a\\n```", "````"]


def test_escaping_is_by_number() -> None:
    assert escaped("a|b<c>&`*_@é") == "a&#124;b&#60;c&#62;&#38;&#96;&#42;_&#64;&#233;"


def test_what_is_removed_is_removed_in_the_picture() -> None:
    before = State(containers(2))
    after = before.where(lambda each: "web0001" not in str(each.key.name))
    text = rendered(before, after)
    assert '"#45; shop/web0001' in text
    assert "-.-" in text
    assert "classDef removed" in text


def test_the_worst_class_of_each_stack_stands_in_its_row() -> None:
    before = State(containers(1))
    after = State(
        replace(each, mac="02:00:00:00:00:09") if isinstance(each, Endpoint) else each for each in containers(1)
    )
    assert "| stack <code>shop</code> | 0 | 1 | 0 | endpoint flap |" in rendered(before, after)
