"""YAML: what ordinary files mean, and what hostile ones get."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import NetapplyError
from reconciler.manifest import reading
from reconciler.manifest.builder import Builder
from reconciler.manifest.nodes import Mapping, Node, Scalar
from reconciler.manifest.scalars import as_text, resolve

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def plain(node: Node | None) -> Any:
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Scalar):
        return node.value
    return [plain(item) for item in node.items] if node else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("2222:22", "2222:22"),
        ("3000:59", "3000:59"),
        ("1:2", "1:2"),
        ("10:20:30:40:50:59", "10:20:30:40:50:59"),
        ("2001:10:20:30:40:50:1:2", "2001:10:20:30:40:50:1:2"),
        ("on", "on"),
        ("No", "No"),
        ("yes", "yes"),
        ("2025-01-01", "2025-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("017", 17),
        ("0x1F", 31),
        ("0o17", 15),
        ("-12", -12),
        ("+5", 5),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".", "."),
        ("-", "-"),
        ("1.2.3.4", "1.2.3.4"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value) or isinstance(resolve(text), int | float)


@pytest.mark.parametrize("text", ["017", "0x1F", "1.10", "1e3", "80", "-0", "1.0", "true"])
def test_a_number_where_text_is_due_is_what_was_written(text: str) -> None:
    assert as_text(resolve(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ports: [8080:80]", {"ports": ["8080:80"]}),
        ("links: [db:database]", {"links": ["db:database"]}),
        ("host: {ip: ::1}", {"host": {"ip": "::1"}}),
        ("ports: ['[::1]:80:80', 53:53/udp]", {"ports": ["[::1]:80:80", "53:53/udp"]}),
        ("net: {mac_address: 10:20:30:40:50:59}", {"net": {"mac_address": "10:20:30:40:50:59"}}),
        ("- 22:22\n- 2222:22", ["22:22", "2222:22"]),
        ("a: &x {p: 1}\nb: {<<: *x, q: 2}", {"a": {"p": 1}, "b": {"q": 2, "p": 1}}),
        ("a: &x {p: 1, q: 1}\nb: {<<: *x, q: 2}", {"a": {"p": 1, "q": 1}, "b": {"q": 2, "p": 1}}),
        (
            "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}",
            {"a": {"p": 1}, "b": {"p": 2, "q": 2}, "c": {"p": 1, "q": 2}},
        ),
        ('{"a":1, b: :x, "c":[::1]}', {"a": 1, "b": ":x", "c": ["::1"]}),
        ("a: !!str 5\nb: !!int '7'", {"a": "5", "b": 7}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: [what?, x?y, 'a:b?c', \"d:e\"]", {"a": ["what?", "x?y", "a:b?c", "d:e"]}),
        ("a: {b:c, {d: e}: f, u: http://x/?q=1:2}", None),
        ("a: !<tag:yaml.org,2002:str> 5\nb: [1:2]", {"a": "5", "b": ["1:2"]}),
        ('a: \ue000\nb: [1:2, "\\ue001"]', {"a": "\ue000", "b": ["1:2", "\ue001"]}),
    ],
)
def test_documents(text: str, value: object) -> None:
    document = reading.read(text.encode(), "f.yaml")
    if value is None:
        (problem,) = document.problems
        assert str(problem.source) == "f.yaml:1:10"
        assert plain(document.root) == {"a": {"b:c": None, "u": "http://x/?q=1:2"}}
        return
    assert document.problems == []
    assert plain(document.root) == value


def test_flow_forms_are_read_fast_and_keep_their_places(load_text: LoadText) -> None:
    padding = "".join(f"  - {'p' * 80}\n" for _ in range(40_000))
    begin = time.process_time()
    manifest = load_text(f"x-padding:\n{padding}services: {{a: {{x-ü: ü, ports: [8080:80, '1:2']}}}}")
    assert time.process_time() - begin < 4
    assert [str(port.source) for port in manifest.containers[0].ports] == ["a.yaml:40002:32", "a.yaml:40002:41"]
    with pytest.raises(NetapplyError) as caught:
        reading.read(f"x-padding:\n{padding}services:\n  a: [8080:80]\n b: 1", "f.yaml")
    (fault,) = caught.value.problems
    assert str(fault.source) == "f.yaml:40004:2"
    assert fault.message == "this line does not fit the indentation above"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("a:\n  dns:\n    - x\n    \u2013 y", "f.yaml:4:5", "'\u2013' is not a plain '-' or quote"),
        ("a:\n  dns:\n    - x\n  web\n", "f.yaml:4:3", "write KEY: VALUE"),
        ("a:\n  dns:\n    - x\n  web", "f.yaml:4:3", "write KEY: VALUE"),
        ("a: {b: [\n\n", "f.yaml:1:9", "close it"),
    ],
)
def test_no_place_is_behind_the_end(text: str, place: str, hint: str) -> None:
    with pytest.raises(NetapplyError) as caught:
        reading.read(text, "f.yaml")
    (fault,) = caught.value.problems
    assert str(fault.source) == place
    assert hint in fault.hint


def test_a_key_that_is_none_takes_its_value_along(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("services: {{a: 1}: {ports: [x]}, web: }")
    assert fault.message == "a list or mapping cannot be a key"


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)],
)


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"a:\n\tb: 1", "f.yaml:2:1", "a tab where YAML wants spaces"),
        (b"a: 1\na: 2", "f.yaml:2:1", "key 'a' is given twice; first at f.yaml:1:1"),
        (BOMB.encode(), "f.yaml:6", "aliases stand for more than 200000 values"),
        (b"a: &x [*x]", "f.yaml:1:8", "stands inside what it names"),
        (b"a: *x", "f.yaml:1:4", "no anchor '&x' before it"),
        (b"[" * 5000, "f.yaml:1:65", "nested more than 64 levels"),
        (b"a: " + b"{a: " * 5000, "f.yaml:1", "nested more than 64 levels"),
        (b"a: 1\n---\nb: 2", "f.yaml:2:1", "a second document"),
        (b"a: b\0c", "f.yaml:1:5", "U+0000 is not allowed"),
        (b"a: 1\nb: \xff", "f.yaml:2:4", "byte 0xff is not valid UTF-8"),
        (b"a: 'x", "f.yaml:1:", "ends inside quotes"),
        (b"a: [1, 2\nb: 3", "f.yaml:2:", "not closed"),
        (b"a: {b: {", "f.yaml:1:", "ends inside a list in [ ] or a mapping in { }"),
        (b"a: {b: }}", "f.yaml:1:9", "a '}' that closes nothing"),
        (b"a: [b]]", "f.yaml:1:7", "a ']' that closes nothing"),
        (b"a: b: c", "f.yaml:1:5", "':' that does not fit"),
        (b"a: @x", "f.yaml:1:4", "cannot begin with '@'"),
        (b"a: !weird x", "f.yaml:1:4", "unknown tag"),
        (b"a: !!int x", "f.yaml:1:4", "this value is not"),
        (b"{a: 1}: 2", "f.yaml:1:1", "cannot be a key"),
        (b"<<: 1", "f.yaml:1:5", "'<<' takes a mapping"),
        (b"a: '" + b"x" * 300_000 + b"'", "f.yaml:1:4", "a value of 300000 characters"),
        (b"a: 1 #" + b"x" * 5_000_000, "f.yaml:1:1", "more than 4 MiB"),
        (b"%YAML 9\n---\na: 1", "f.yaml:1:", ""),
    ],
)
def test_refused_with_a_place_in_bounded_time_and_memory(data: bytes, place: str, message: str) -> None:
    tracemalloc.start()
    begin = time.process_time()
    try:
        problems: tuple[Any, ...] = tuple(reading.read(data, "f.yaml").problems)
    except NetapplyError as error:
        problems = error.problems
    spent = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(problems) == 1
    assert str(problems[0].source).startswith(place)
    assert message in problems[0].message
    assert spent < 3
    assert peak < 20_000_000


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n...\n", "null", "{}\n# x"])
def test_empty_files(faults_of: FaultsOf, load_text: LoadText, text: str) -> None:
    if text.startswith("{}"):
        assert load_text(text).containers == ()
        return
    (fault,) = faults_of(text)
    assert fault.message == "the manifest is empty"
    assert str(fault.source) == "a.yaml:1:1"


@pytest.mark.parametrize("text", ["- a\n- b", "just text", "12"])
def test_the_top_is_a_mapping(faults_of: FaultsOf, text: str) -> None:
    (fault,) = faults_of(text)
    assert fault.message == "a manifest is a mapping with the key 'containers'"


def test_non_string_keys(faults_of: FaultsOf) -> None:
    faults = faults_of("""
        services:
          123: {image: x}
        networks:
          default: {ipam: {config: [{123: oh dear}]}}
    """)
    assert [str(fault).partition("\n")[0] for fault in faults] == [
        "a.yaml:3:3: error: non-string key in services: 123",
        "a.yaml:5:30: error: non-string key in networks.default.ipam.config.0: 123",
    ]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(NetapplyError):
        assert reading.read(data, "f.yaml") is not None


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t<$", max_size=40))
def test_any_punctuation_is_read_or_refused(text: str) -> None:
    with suppress(NetapplyError):
        assert reading.read(text, "f.yaml") is not None


words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | words,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
        max_leaves=12,
    ),
)
def test_both_parsers_give_the_same_tree(value: object) -> None:
    text = json.dumps(value)  # JSON is YAML: every document of it is a case
    fast = Builder("f").build(reading._fast_events(text))
    slow = Builder("f").build(reading._slow_events(text))
    assert plain(fast.root) == plain(slow.root)
