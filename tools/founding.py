"""Which test proves which statement of the founding documents: writes docs/founding-documents.md.

A test says so itself: ``@pytest.mark.founding("S0-05", "S0-06")``. The statements stand in
tests/founding/statements.toml; those that no test names yet in tests/founding/missing.txt.

``python tools/founding.py`` writes the table and the list of what is missing; with ``--check`` it only says whether
they are as they would be written.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = Path("docs/founding-documents.md")
STATEMENTS = Path("tests/founding/statements.toml")
MISSING = Path("tests/founding/missing.txt")
MARKER = "founding"
_TITLES = {
    "S0": "Mapped container mode",
    "S1": "Containers networking, with links",
    "S2": "Host mode",
    "S3": "The Docker way",
    "S4": "Docker network",
}
_HEAD = """\
# The founding documents

This project comes from five public tutorials on container networking. Every line below is one of their statements
that a test can check, and the tests that do. Kinds: B behaviour shown, C caveat or limit, Q a reader's question or
wish, X the tutorial is wrong or out of date, and netapply says so instead of copying the mistake.

`python tools/founding.py` writes this file from `tests/founding/statements.toml` and the tests' own markers.
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. ``out``: why it is not tested; ``note``: what of it is not."""

    identity: str
    kind: str
    says: str
    out: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A test function and the statements that it names."""

    path: str
    name: str
    identities: tuple[str, ...]


def statements(root: Path = ROOT) -> tuple[Statement, ...]:
    """All of them, in order."""
    found = tomllib.loads((root / STATEMENTS).read_text(encoding="utf-8"))
    return tuple(Statement(identity, **fields) for identity, fields in found.items())


def proofs(root: Path = ROOT) -> tuple[Proof, ...]:
    """Every test that names a statement, by file and line."""
    paths = sorted((root / "tests").rglob("test_*.py"))
    return tuple(proof for path in paths for proof in _in_file(path, root))


def _in_file(path: Path, root: Path) -> Iterator[Proof]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            identities = tuple(each for decorator in node.decorator_list for each in _named(decorator))
            if identities:
                yield Proof(path.relative_to(root).as_posix(), node.name, identities)


def _named(decorator: ast.expr) -> Iterator[str]:
    """The statements in ``@pytest.mark.founding(...)``."""
    if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute) and decorator.func.attr == MARKER:
        for argument in decorator.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def missing(every: Sequence[Statement], found: Sequence[Proof]) -> tuple[str, ...]:
    """The statements that should have a test and have none."""
    proven = {identity for proof in found for identity in proof.identities}
    return tuple(each.identity for each in every if not each.out and each.identity not in proven)


def table(every: Sequence[Statement], found: Sequence[Proof]) -> str:
    """The whole document."""
    by_identity: dict[str, list[Proof]] = defaultdict(list)
    for proof in found:
        for identity in dict.fromkeys(proof.identities):
            by_identity[identity].append(proof)
    parts = [_HEAD]
    for chapter, title in _TITLES.items():
        rows = [_row(each, by_identity) for each in every if each.identity.startswith(f"{chapter}-")]
        parts.append(
            "\n".join(
                [f"## {title}", "", "| id | kind | statement | proven by |", "| --- | --- | --- | --- |", *rows, ""]
            )
        )
    return "\n".join(parts)


def _row(statement: Statement, by_identity: Mapping[str, Sequence[Proof]]) -> str:
    tests = [f"[{_words(proof.name)}](../{proof.path})" for proof in by_identity.get(statement.identity, ())]
    if statement.out:
        tests.append(f"out of scope: {statement.out}")
    elif not tests:
        tests.append("**no test yet**")
    if statement.note:
        tests.append(f"({statement.note})")
    return f"| {statement.identity} | {statement.kind} | {statement.says} | {'<br>'.join(tests)} |"


def _words(name: str) -> str:
    return re.sub(r"_+", " ", name.removeprefix("test_"))


def written(root: Path = ROOT) -> dict[Path, str]:
    """What the files should hold, by their path below ``root``."""
    every, found = statements(root), proofs(root)
    return {TABLE: table(every, found), MISSING: "".join(f"{each}\n" for each in missing(every, found))}


def main() -> int:
    """Write the files, or with ``--check`` compare them: 1 where one is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something would change")
    only_check = parser.parse_args().check
    files = written()
    stale = [path for path, text in files.items() if not _is(ROOT / path, text)]
    for path in stale:
        print(f"{path} {'is stale: run python tools/founding.py' if only_check else 'written'}")
        if not only_check:
            (ROOT / path).write_text(files[path], encoding="utf-8")
    return 1 if only_check and stale else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
