"""Verdicts and matrices for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Plans are printed without the rest of this package.
    from reconciler.reach.matrix import Cell, Matrix, MatrixDifference
    from reconciler.reach.verdict import Verdict


def verdict_text(verdict: Verdict, origin: str, target: str) -> str:
    """One line for the answer, and one for each hop, with the manifest line that it comes from."""
    says = "reaches" if verdict.reachable else "does not reach"
    lines = [f"{origin} {says} {target}"]
    for number, hop in enumerate(verdict.path, 1):
        decides = not verdict.reachable and number == len(verdict.path)
        place = f"  ({hop.source})" if hop.source else ""
        lines.append(f"  {'x' if decides else ' '} {number}. {hop}{place}")
    return "".join(f"{line}\n" for line in lines)


def matrix_text(matrix: Matrix) -> str:
    """For each port of each target, who reaches it and who does not."""
    rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for cell, reachable in matrix.items():
        yes, no = rows.setdefault((cell.target, cell.port_text), ([], []))
        (yes if reachable else no).append(cell.origin)
    lines = []
    for (target, port), (yes, no) in rows.items():
        lines.append(f"{target}:{port}" if port[0].isdigit() else f"{target}, {port}")
        lines.append(f"    from  {', '.join(yes) or 'nobody'}")
        lines += [f"    not   {', '.join(no)}"] * bool(no)
    return "".join(f"{line}\n" for line in lines)


def difference_groups(difference: MatrixDifference, most: int | None = None) -> Iterator[tuple[str, str, list[str]]]:
    """Who reaches what that did not before, then who does so no longer: title, sign, and a line for each port.

    A line has ``most`` names and the number of the others; None: all.
    """
    for title, sign, cells in (
        ("reaches from now on", "+", difference.opened),
        ("reaches no longer", "-", difference.closed),
    ):
        if cells:
            yield title, sign, _grouped(cells, most)


def _grouped(cells: Iterable[Cell], most: int | None) -> list[str]:
    rows: dict[str, list[str]] = {}
    for cell in cells:
        port = cell.port_text
        rows.setdefault(f"{cell.target}:{port}" if port[0].isdigit() else f"{cell.target}, {port}", []).append(
            cell.origin
        )
    return [f"{target}  from {_named(origins, most)}" for target, origins in sorted(rows.items())]


def _named(names: list[str], most: int | None) -> str:
    # Who is no container says most, and there is one of each.
    ordered = [name for name in names if "/" not in name] + [name for name in names if "/" in name]
    shown = ordered[:most] if most is not None and len(names) > most else names
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(shown) < len(names) else "")
