"""Characters that YAML's escapes and variables bring in past the check of the file's own text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ('containers: {a: {networks: {default: {interface_name: "e\\0"}}}}', "1:55", "U+0000"),
        ('containers: {a: {attach: {netns: "\\ud800"}}}', "1:34", "U+D800"),
        ('containers: {a: {sysctls: {net.core.somaxconn: "\\x1b[2J"}}}', "1:48", "U+001B"),
        ('containers: {a: {command: ["\\0"]}}', "1:28", "U+0000"),
        ('containers: {"a\\0": }', "1:14", "U+0000"),
        ('include: ["a\\0b"]', "1:11", "U+0000"),
        ('include: ["\\ud800"]', "1:11", "U+D800"),
        ('include: [{path: ["\\udfff"]}]', "1:19", "U+DFFF"),
        ("containers: {a: {rootfs: $BAD}}", "1:26", "U+DC80"),
        ("containers: {a: {hostname: '$ESCAPE'}}", "1:28", "U+001B"),
    ],
)
def test_what_no_value_can_hold_has_its_place(faults_of: FaultsOf, text: str, place: str, code: str) -> None:
    faults = faults_of(text, BAD="\udc80", ESCAPE="\x1b")
    assert (f"a.yaml:{place}", f"this text holds the character {code}, which is not allowed") in [
        (str(fault.source), fault.message) for fault in faults
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("'$ESCAPE'", "it comes from a variable; set that anew"),
        ("'$BAD'", "it comes from a variable; set that anew"),
        ('"\\e$FINE"', "remove it"),
    ],
)
def test_the_origin_of_a_character_is_named(faults_of: FaultsOf, text: str, hint: str) -> None:
    (fault,) = faults_of(f"containers: {{a: {{rootfs: {text}}}}}", BAD="\0", ESCAPE="\x1b", FINE="x")
    assert fault.hint == hint


def test_a_variable_that_is_no_text_is_not_passed_on(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("containers: {a: {environment: [BAD]}}", BAD="\udc80")
    assert fault.message == "the value of variable BAD is no UTF-8 text"


def test_a_program_may_get_escape_sequences(load_text: LoadText) -> None:
    (web,) = load_text('containers: {a: {command: ["printf", "\\e[0m\\t"], environment: {PS1: "\\e[1m"}}}').containers
    assert web.command == ("printf", "\x1b[0m\t")
    assert web.environment == (("PS1", "\x1b[1m"),)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("containers:\n\u00a0\u00a0web:\n\u00a0\u00a0\u00a0\u00a0hostname: w\n", "2:1"),
        ("containers:\n  web:\n    dns:\n     - 1.1.1.1\n    \u00a0- 2.2.2.2\n", "5:5"),
    ],
)
def test_a_space_that_is_none_is_named(faults_of: FaultsOf, text: str, place: str) -> None:
    fault = faults_of(text)[0]
    assert str(fault.source) == f"a.yaml:{place}"
    assert fault.hint == "U+00A0 is not a plain space; type it anew"
