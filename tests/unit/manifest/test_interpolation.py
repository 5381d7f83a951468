"""Variables in values."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.faults import FormError
from reconciler.manifest.interpolation import Interpolation

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText

ENVIRONMENT = {"SET": "value", "EMPTY": "", "_u1": "under"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a-$SET-b", "a-value-b"),
        ("$_u1.", "under."),
        ("$$SET", "$SET"),
        ("$$$SET", "$value"),
        ("$${SET}", "${SET}"),
        ("$MISSING", ""),
        ("${MISSING}", ""),
        ("${SET:-d}", "value"),
        ("${EMPTY:-d}", "d"),
        ("${MISSING:-d}", "d"),
        ("${SET-d}", "value"),
        ("${EMPTY-d}", ""),
        ("${MISSING-d}", "d"),
        ("${MISSING:-}", ""),
        ("${SET:+alt}", "alt"),
        ("${EMPTY:+alt}", ""),
        ("${MISSING:+alt}", ""),
        ("${SET+alt}", "alt"),
        ("${EMPTY+alt}", "alt"),
        ("${MISSING+alt}", ""),
        ("${SET:?must}", "value"),
        ("${EMPTY?must}", ""),
        ("${MISSING:-${SET}}", "value"),
        ("${MISSING:-${EMPTY:-${SET:+deep}}}", "deep"),
        ("${MISSING:-a${SET}b$SET}", "avalueb" + "value"),
        ("${MISSING:-$$x}", "$x"),
        ("${MISSING:-{}}", "{}"),
        ("${SET:-${OTHER:?not asked for}}", "value"),
        ("${MISSING:-fd4d:6169:6c63:6f77::/64}", "fd4d:6169:6c63:6f77::/64"),
        ("${MISSING:-172.22.1}.0/24", "172.22.1.0/24"),
        ("${MISSING:-a-b:?c}", "a-b:?c"),
        ("${MISSING:-two\nlines}", "two\nlines"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert Interpolation(ENVIRONMENT).substitute(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${MISSING:?must be set}", "variable MISSING is not set: must be set"),
        ("${EMPTY:?$SET}", "variable EMPTY is not set: value"),
        ("${MISSING?}", "variable MISSING is not set"),
        ("${SET", "without a closing"),
        ("${}", "not followed by a variable's name"),
        ("${1A}", "not followed by a variable's name"),
        ("${SET.x}", "not followed by a variable's name"),
        ("${ SET}", "not followed by a variable's name"),
        ("$", "is not a variable"),
        ("$1", "'$1' is not a variable"),
        ("a $ b", "is not a variable"),
        ("${A:-" * 30 + "}" * 30, "nested too deeply"),
    ],
)
def test_what_is_malformed_or_demanded(text: str, message: str) -> None:
    with pytest.raises(FormError) as caught:
        Interpolation(ENVIRONMENT).substitute(text)
    assert message in str(caught.value)


@given(st.text())
def test_text_without_dollar_is_unchanged_and_escaping_gives_any_text(text: str) -> None:
    work = Interpolation({})
    assert work.substitute(text.replace("$", "$$")) == text
    assert not work.unset


@given(st.text(alphabet="$${}:-?+AB ", max_size=30))
def test_any_text_is_substituted_or_refused(text: str) -> None:
    with suppress(FormError):
        assert Interpolation({"A": "1"}).substitute(text) is not None


def test_a_missing_variable_is_one_warning_with_its_place(load_text: LoadText) -> None:
    manifest = load_text("""
        containers:
          web: {hostname: "w$NOPE", domainname: "d${NOPE}"}
    """)
    (warning,) = manifest.warnings
    assert str(warning) == "a.yaml:3:19: warning: variable NOPE is not set; empty text stands for it"
    assert manifest.containers[0].hostname == "w"


def test_values_are_cast_after_substitution_and_keys_are_not_touched(load_text: LoadText) -> None:
    manifest = load_text(
        """
        containers:
          web:
            environment: {$A: "$A", B: "${A}"}
            networks: {front: {gw_priority: $PRIORITY}}
        networks:
          front: {internal: "${ON}", enable_ipv6: $OFF, external: "${OFF}"}
        """,
        A="1",
        PRIORITY="-3",
        ON="yes",
        OFF="false",
    )
    container, network = manifest.containers[0], manifest.networks[0]
    assert container.environment == (("$A", "1"), ("B", "1"))
    assert container.attachments[0].gw_priority == -3
    assert (network.internal, network.enable_ipv6, network.external) == (True, False, False)


def test_an_aliased_value_is_substituted_once(load_text: LoadText) -> None:
    manifest = load_text("""
        x-command: &command [echo, $$$$A]
        containers:
          one: {command: *command}
          two: {command: *command}
    """)
    assert [container.command for container in manifest.containers] == [("echo", "$$A")] * 2


def test_a_demanded_variable_is_a_fault_with_its_place(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("""
        containers:
          web:
            hostname: ${NAME:?give it a name}
    """)
    assert str(fault).startswith("a.yaml:4:15: error: variable NAME is not set: give it a name")
