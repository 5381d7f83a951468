"""Verdicts and matrices for people."""

from __future__ import annotations

from reconciler.reach.matrix import Matrix
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
