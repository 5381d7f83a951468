"""A plan in the form that the command line asks for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reconciler.observation import Facts
    from reconciler.plan.plan import Plan
    from reconciler.reach.matrix import MatrixDifference
    from reconciler.state import State

FORMATS = ("text", "json", "markdown", "html")

detail = click.option("--detail", is_flag=True, help="Show each object of the kernel on a line of its own.")
with_matrix = click.option(
    "--matrix", "with_matrix", is_flag=True, help="Then who reaches what from now on, and who no longer."
)
plan_format = click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="text",
    help="For people, programs, a pull request's comment, or a page.",
)


def rendered(
    plan: Plan,
    before: State,
    after: State,
    stacks: Collection[str],
    output_format: str,
    facts: Facts | None = None,
    *,
    detail: bool = False,
) -> str:
    """The plan from one state to another, ending with a newline.

    With ``facts`` of the host also who reaches what from now on, and who no longer.
    """
    # Only what this run prints is imported.
    from reconciler.plan import exposure  # noqa: PLC0415  # as said above

    exposed = exposure.difference(before, after) if plan.steps else exposure.Exposure()
    reaching = _reach_difference(before, after, facts) if facts else None
    if output_format == "text":
        from reconciler.plan import text  # noqa: PLC0415  # as said above

        return text.render(plan, exposed, reaching, detail=detail, colour=has_colour())
    if output_format == "json":
        from reconciler.plan.document import document  # noqa: PLC0415  # as said above

        return json.dumps(document(plan, sorted(stacks), exposed, reaching), indent=2) + "\n"
    from reconciler.graph.topology import topology  # noqa: PLC0415  # as said above

    picture = topology(after, before)
    if output_format == "markdown":
        from reconciler.plan import markdown  # noqa: PLC0415  # as said above

        return markdown.render(plan, sorted(stacks), exposed, picture, reaching)
    from reconciler.plan import html  # noqa: PLC0415  # as said above

    return html.render(plan, sorted(stacks), exposed, picture, reaching)


def _reach_difference(before: State, after: State, facts: Facts) -> MatrixDifference:
    from reconciler.reach.matrix import matrix, matrix_difference  # noqa: PLC0415  # only where it is asked for

    return matrix_difference(matrix(before, facts), matrix(after, facts))


def has_colour() -> bool:
    """Whether colours are shown: on a terminal that knows them, unless NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
