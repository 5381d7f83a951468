"""What netapply makes of each file of the corpus; run as a module it writes ``outcomes.tsv`` anew."""

from __future__ import annotations

import csv
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.manifest import load
from reconciler.manifest.canonical import render

HERE = Path(__file__).parent
FILES = HERE / "compose"
OUTCOMES = HERE / "outcomes.tsv"
OK = "ok"


def files() -> list[str]:
    """The manifests of the corpus, relative to its folder."""
    return sorted(str(path.relative_to(FILES)) for path in FILES.rglob("*.y*ml"))


def outcome(file: str) -> str:
    """``ok`` for a file that loads and whose canonical form is stable, else its first fault."""
    try:
        first = render(load([FILES / file], stack_name="corpus", environment={}))
        again = render(load(["-"], environment={}, stdin=first))
    except NetapplyError as error:
        problem = error.problems[0]
        place = str(problem.source).replace(f"{FILES}/", "") if problem.source else "nowhere"
        return f"{place}: {problem.message}".replace(f"{FILES}/", "")
    return OK if again == first else "the canonical form is not stable"


def recorded() -> dict[str, str]:
    """The outcomes that are known to be right."""
    with OUTCOMES.open(newline="") as table:
        return dict(csv.reader(table, delimiter="\t"))


def main() -> None:
    """Write the table."""
    with OUTCOMES.open("w", newline="") as table:
        csv.writer(table, delimiter="\t", lineterminator="\n").writerows((file, outcome(file)) for file in files())


if __name__ == "__main__":
    main()
