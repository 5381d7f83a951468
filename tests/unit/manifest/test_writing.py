"""YAML text that readers of YAML 1.2 and 1.1 take for the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.manifest.writing import text_of

WORDS = """
    yes No on y NULL ~ true 0x1f 017 0o17 0b1 1_0 22:22 10:20 10:20:30:40:50:59 8080:80 2020-01-01 1.2.3.4 1.5 1e3 .5
    -1 +1 . .. ... --- - -a a:b a: :a #a a#b << = * & ! | > @ % ` ' " [ ] { } , ? / fd00::/64 [::1]:80 (hidden)
""".split()  # noqa: SIM905  # as one list it is 60 lines
words = (
    st.sampled_from(
        [*WORDS, "", " a", "a ", "a b", "a: b", "a #b", "2020-01-01 10:00", "two\nlines", "\t", "\U0001f600"]
    )
    | st.from_regex(r"[0-9:._exo+-]{1,10}", fullmatch=True)
    | st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn"]), max_size=8)
)
values = st.recursive(
    words | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=6,
)


def read(text: str, version: tuple[int, int]) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return yaml.load(text)


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(value=st.dictionaries(words.filter(lambda key: key != "<<"), values, max_size=3))
def test_every_reader_takes_it_for_the_same(version: tuple[int, int], value: dict[str, Any]) -> None:
    assert repr(read(text_of(value), version)) == repr(value)


def test_what_needs_no_quotes_has_none() -> None:
    value = {"a": ["10.0.0.0/24", "80/tcp", "web:db", {"b": "fd00::1", "c": "two words"}], "net.core.somaxconn": True}
    expected = "a:\n- 10.0.0.0/24\n- 80/tcp\n- web:db\n- b: fd00::1\n  c: two words\nnet.core.somaxconn: true\n"
    assert text_of(value) == expected
    assert text_of({"mac": "10:20:30:40:50:59", "no": "on"}) == "mac: '10:20:30:40:50:59'\n'no': 'on'\n"
    assert text_of({}) == "{}\n"
