"""Every statement of the founding documents has a test that names it, and the table of them is not stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import founding

ROOT = Path(__file__).parents[2]


def test_the_table_is_as_the_tests_say() -> None:
    stale = [str(path) for path, text in founding.written().items() if (ROOT / path).read_text() != text]
    assert stale == [], "run python tools/founding.py, and look at what no test names any more"


def test_tests_name_only_statements_that_there_are() -> None:
    known = {each.identity for each in founding.statements()}
    for proof in founding.proofs():
        assert set(proof.identities) <= known, f"{proof.path}: {proof.name}"


def test_what_is_out_of_scope_has_a_reason_and_no_test() -> None:
    proven = {identity for proof in founding.proofs() for identity in proof.identities}
    out = {each.identity for each in founding.statements() if each.out}
    assert out & proven == set()


def test_all_statements_are_there_in_order() -> None:
    identities = [each.identity for each in founding.statements()]
    assert identities == sorted(identities)
    assert all(re.fullmatch(r"S[0-4]-[0-9]{2}", each) for each in identities)
    assert {each.kind for each in founding.statements()} == {"B", "C", "Q", "X"}
    assert [sum(each.startswith(f"S{number}") for each in identities) for number in range(5)] == [31, 52, 34, 25, 31]


def test_a_marker_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    text = (
        'import pytest\n@pytest.mark.long\n@pytest.mark.founding("S0-01", "S0-02")\ndef test_a_b(): ...\n'
        'class TestC:\n    @pytest.mark.founding("S0-03")\n    def test_c(self): ...\n'
        '@pytest.mark.founding("S0-04")\ndef helper(): ...\ndef test_d(): ...\n'
    )
    (tmp_path / "tests/test_x.py").write_text(text)
    assert founding.proofs(tmp_path) == (
        founding.Proof("tests/test_x.py", "test_a_b", ("S0-01", "S0-02")),
        founding.Proof("tests/test_x.py", "test_c", ("S0-03",)),
    )


@pytest.mark.parametrize(("out", "tests", "expected"), [("", (), ("S0-01",)), ("later", (), ()), ("", ("S0-01",), ())])
def test_what_is_missing(out: str, tests: tuple[str, ...], expected: tuple[str, ...]) -> None:
    every = [founding.Statement("S0-01", "B", "something", out)]
    assert founding.missing(every, [founding.Proof("tests/test_x.py", "test_a", tests)]) == expected
