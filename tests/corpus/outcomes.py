"""What netapply makes of each file of the corpus; run as a module it writes ``outcomes.tsv`` anew."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from reconciler.errors import NetapplyError
from reconciler.manifest import load
from reconciler.manifest.canonical import HIDDEN, render
from reconciler.manifest.model import Container, Manifest

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
        manifest = load([FILES / file], stack_name="corpus", environment={})
        first = render(manifest)
        read_again = load(["-"], environment={}, stdin=first)
        again = render(read_again)
    except NetapplyError as error:
        problem = error.problems[0]
        place = str(problem.source).replace(f"{FILES}/", "") if problem.source else "nowhere"
        return f"{place}: {problem.message}".replace(f"{FILES}/", "")
    if not is_same(manifest, read_again):
        return "the canonical form loses something"
    return OK if again == first else "the canonical form is not stable"


def is_same(manifest: Manifest, again: Manifest) -> bool:
    """Whether the manifest that was read from the canonical form says the same, but for environment values."""

    def hidden(container: Container) -> Container:
        return replace(container, environment=tuple((name, HIDDEN) for name, _ in container.environment))

    return again.networks == manifest.networks and again.containers == tuple(map(hidden, manifest.containers))


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
