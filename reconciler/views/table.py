"""A table of aligned columns, as ``ps`` and ``kubectl get`` print it: the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_GAP = "   "


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Header and rows, one a line, each ending with a newline; an empty cell is shown as ``-``."""
    lines = [tuple(header), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip() + "\n"
