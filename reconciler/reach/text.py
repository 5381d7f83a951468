"""Verdicts and matrices for people."""

from __future__ import annotations

from collections.abc import Iterable

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


def difference_text(difference: MatrixDifference) -> str:
    """Who reaches what that did not before, and who does so no longer; a line for each port."""
    lines = ["reaches from now on", *_grouped("+", difference.opened)] if difference.opened else []
    if difference.closed:
        lines += ["reaches no longer", *_grouped("-", difference.closed)]
    return "".join(f"{line}\n" for line in lines or ["who reaches whom stays as it is"])


def _grouped(sign: str, cells: Iterable[Cell]) -> list[str]:
    rows: dict[str, list[str]] = {}
    for cell in cells:
        port = cell.port_text
        rows.setdefault(f"{cell.target}:{port}" if port[0].isdigit() else f"{cell.target}, {port}", []).append(
            cell.origin
        )
    return [f"  {sign} {target}  from {', '.join(origins)}" for target, origins in sorted(rows.items())]
