"""Several files of one stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.faults import Faults
from reconciler.manifest.merge import merge, settle
from reconciler.manifest.nodes import Mapping, Node, Scalar, Sequence
from reconciler.manifest.reading import read

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def plain(node: Node | None) -> Any:
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    return [plain(item) for item in node.items] if isinstance(node, Sequence) else node.value if node else None


def merged(*texts: str) -> Any:
    faults = Faults()
    root, *others = (read(text, "f").root for text in texts)
    for other in others:
        assert root is not None
        assert other is not None
        root = merge(root, other, faults)
    assert not faults.errors
    return plain(settle(root)) if root else None


@pytest.mark.parametrize(
    ("key", "base", "over", "expected"),
    [
        ("hostname", "a", "b", "b"),
        ("command", "[a, b]", "[c]", ["c"]),
        ("entrypoint", "a b", "[c]", ["c"]),
        ("ports", "[80, '1:2']", "['1:2', 90]", [80, "1:2", 90]),
        ("expose", "['80']", "['81', '80']", ["80", "81"]),
        ("dns", "1.1.1.1", "[2.2.2.2, 1.1.1.1]", ["1.1.1.1", "2.2.2.2"]),
        ("dns", "[1.1.1.1]", "2.2.2.2", ["1.1.1.1", "2.2.2.2"]),
        ("dns_search", "a", "b", ["a", "b"]),
        ("networks", "[a, b]", "{b: {priority: 1}, c: }", {"a": None, "b": {"priority": 1}, "c": None}),
        ("networks", "{a: {aliases: [x]}}", "[a]", {"a": {"aliases": ["x"]}}),
        ("networks", "{a: {aliases: [x]}}", "{a: {aliases: [y, x]}}", {"a": {"aliases": ["x", "y"]}}),
        (
            "networks",
            "{a: {ipv4_address: 1.1.1.1}}",
            "{a: {priority: 2}}",
            {"a": {"ipv4_address": "1.1.1.1", "priority": 2}},
        ),
        ("environment", "[A=1, B=2]", "{B: 3, C: 4}", {"A": "1", "B": 3, "C": 4}),
        ("environment", "{A: 1}", "[A, D=]", {"A": 1, "D": ""}),
        ("sysctls", "{a.b: 1}", "[a.b=2]", {"a.b": "2"}),
        ("extra_hosts", "{a: 1.1.1.1}", "[a=2.2.2.2, a=1.1.1.1]", ["a=1.1.1.1", "a=2.2.2.2"]),
        ("networks", "[a]", "!override [b]", ["b"]),
        ("ports", "[80]", "!override [90]", [90]),
        ("ports", "[80]", "!reset []", None),
        ("hostname", "a", "!reset null", None),
        ("environment", "{A: 1, B: 2}", "{A: !reset null}", {"B": 2}),
        ("hostname", "a", "", "a"),
        ("ports", "[80]", "", [80]),
        # What !reset removes in the earlier file is not there for the later one.
        ("ports", "!reset [80]", "[90]", [90]),
        ("environment", "{A: !reset 1, B: 2}", "{A: 3}", {"A": 3, "B": 2}),
        ("ports", "[!reset 80, 81]", "[90]", [81, 90]),
        # In a list it removes the item.
        ("ports", "[80, 81]", "[!reset 80]", [81]),
        ("networks", "[a, b]", "[!reset a]", {"b": None}),
        ("networks", "{a: {priority: 1}, b: }", "[!reset a, c]", {"b": None, "c": None}),
        ("environment", "{A: 1, B: 2}", "[!reset A=1]", {"B": 2}),
        ("sysctls", "[a.b=1]", "[!reset a.b]", {}),
        ("extra_hosts", "{a: 1.1.1.1, b: 2.2.2.2}", "{a: !reset 1.1.1.1}", ["b=2.2.2.2"]),
        ("dns", "[1.1.1.1, 2.2.2.2]", "[!reset 1.1.1.1]", ["2.2.2.2"]),
    ],
)
def test_rules_for_containers(key: str, base: str, over: str, expected: Any) -> None:
    result = merged(f"containers: {{w: {{{key}: {base}}}}}", f"containers: {{w: {{{key}: {over}}}}}")
    assert result["containers"]["w"].get(key) == expected


def test_pools_merge_by_subnet() -> None:
    result = merged(
        "networks: {n: {ipam: {config: [{subnet: a, gateway: g}, {subnet: b}]}}}",
        "networks: {n: {ipam: {config: [{subnet: b, ip_range: r}, {subnet: c}]}}}",
    )
    assert result["networks"]["n"]["ipam"]["config"] == [
        {"subnet": "a", "gateway": "g"},
        {"subnet": "b", "ip_range": "r"},
        {"subnet": "c"},
    ]


def test_what_is_reset_stays_so_until_something_comes_over_it() -> None:
    assert merged("a: {x: 1, y: 1}", "a: {x: !reset }", "a: {y: 2}") == {"a": {"y": 2}}
    assert merged("a: {x: [1]}", "a: {x: !reset }", "a: {x: [2]}") == {"a": {"x": [2]}}
    result = merged("networks: {n: {allow: [a, b]}}", "networks: {n: {allow: [!reset a]}}")
    assert result["networks"]["n"]["allow"] == [{"network": "b"}]


def test_a_tag_on_our_own_keys_is_not_that_of_values_which_aliases_share(load_text: LoadText) -> None:
    first = "services: {a: &s {network_mode: host, x-netapply: {open: [80], user: a}}, b: *s}"
    over = "x-o: &o [90]\nservices: {a: {x-netapply: {open: *o}}, b: {x-netapply: !override {open: *o, user: b}}}"
    one, two = load_text(first, over).containers
    assert [[span.first for span in each.open] for each in (one, two)] == [[80, 90], [90]]
    assert (one.user, two.user) == ("a", "b")


def test_reset_and_extends(load_text: LoadText) -> None:
    first = "services: {a: {ports: ['80:80'], user: '1'}}"
    base = "services: {base: {ports: !reset ['81:81'], user: '2'}, a: {extends: base, ports: ['82:82']}}"
    assert [port.target for port in load_text(base).containers[1].ports] == [82]
    second = "services: {base: {ports: ['81:81']}, a: {extends: base, ports: !reset []}}"
    found = load_text(first, second).containers[0]
    assert (found.ports, found.user) == ((), "1")
    # What a base resets is its own.
    second = "services: {base: {ports: !reset [], dns: [!reset 1.1.1.1]}, a: {extends: base, dns: [2.2.2.2]}}"
    found = load_text("services: {a: {ports: ['80:80'], dns: [1.1.1.1]}}", second).containers[0]
    assert ([port.target for port in found.ports], found.dns.servers) == ([80], ("1.1.1.1", "2.2.2.2"))
    lone = load_text("services: {base: {user: '2'}, a: {extends: !reset base}}")
    assert lone.containers[1].user is None


@pytest.mark.parametrize(
    ("texts", "place", "message"),
    [
        (("!reset\nservices: {a: }",), "a.yaml:1:1", "!reset removes the whole manifest"),
        (("!reset\nservices: {a: }", "name: x"), "a.yaml:1:1", "!reset removes the whole manifest"),
        (("services: {a: }", "include: !reset []"), "b.yaml:1:10", "!reset does not undo the 'include'"),
        (("services: {a: }", "services: {a: {extends: !reset }}"), "b.yaml:1:25", "!reset does not undo the 'extends'"),
        (("x-netapply: !reset {name: x}\nservices: {a: }",), "a.yaml:1:13", "!reset does nothing on x-netapply"),
        (("services: {b: !reset , a: {extends: b}}",), "a.yaml:1:37", "extends 'b', which is not in a.yaml"),
    ],
)
def test_reset_where_it_cannot_be(faults_of: FaultsOf, texts: tuple[str, ...], place: str, message: str) -> None:
    (fault,) = faults_of(*texts)
    assert str(fault.source) == place
    assert message in fault.message


def test_a_reset_inclusion_is_none(load_text: LoadText) -> None:
    assert load_text("include: !reset [none.yaml]\nservices: {a: }").containers
    assert load_text("include: [!reset none.yaml]\nservices: {a: }").containers


def test_a_third_file_goes_over_the_first_two() -> None:
    assert merged("a: {x: 1}", "a: {y: 1}", "a: {x: 2}") == {"a": {"x": 2, "y": 1}}


leaves = st.integers(0, 3).map(str)
maps = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("de"), leaves))


def _node(value: Any) -> Node:
    if isinstance(value, str):
        return Scalar("f", 1, 1, value, value)
    node = Mapping("f", 1, 1)
    for key, each in value.items():
        node.put(Scalar("f", 1, 1, key, key), _node(each))
    return node


@given(st.lists(maps, min_size=3, max_size=3))
def test_merging_maps_is_associative_and_nothing_changes_nothing(values: list[dict[str, dict[str, str]]]) -> None:
    first, second, third = map(_node, values)
    faults = Faults()
    left = merge(merge(first, second, faults), third, faults)
    right = merge(first, merge(second, third, faults), faults)
    assert plain(left) == plain(right)
    assert plain(merge(first, Mapping("f", 1, 1), faults)) == values[0]
    assert plain(first) == values[0]


def test_a_list_over_a_mapping_is_a_fault_at_both_places(faults_of: FaultsOf) -> None:
    (fault,) = faults_of("networks: {a: {ipam: {config: []}}}", "networks: {a: {ipam: []}}")
    assert str(fault.source) == "b.yaml:1:22"
    assert fault.message == "cannot override a mapping with a list; the value before is at a.yaml:1:22"


def test_places_are_those_of_the_file_that_a_value_comes_from(load_text: LoadText, faults_of: FaultsOf) -> None:
    manifest = load_text(
        "containers:\n  web:\n    ports: ['80:80']\nnetworks: {default: {}}",
        "\nservices:\n  web:\n    ports: ['81:80']\n  app: \nnetworks: {default: {internal: true}}",
    )
    assert [str(port.source) for port in manifest.containers[0].ports] == ["a.yaml:3:13", "b.yaml:4:13"]
    assert [str(each.source) for each in manifest.containers] == ["a.yaml:2:3", "b.yaml:5:3"]
    assert manifest.networks[0].internal
    (fault,) = faults_of("containers: {a: {hostname: ok}}", "containers: {a: {hostname: not ok}}")
    assert str(fault.source) == "b.yaml:1:28"


@pytest.mark.parametrize("second", ["services", "containers"])
@pytest.mark.parametrize("first", ["services", "containers"])
def test_either_word_merges_with_either(load_text: LoadText, first: str, second: str) -> None:
    manifest = load_text(f"{first}: {{a: {{user: x}}}}", f"{second}: {{a: {{hostname: h}}, b: {{extends: a}}}}")
    assert [(each.name, each.user, each.hostname) for each in manifest.containers] == [
        ("a", "x", "h"),
        ("b", None, "h"),
    ]


def test_shared_values_are_not_merged_twice(load_text: LoadText) -> None:
    manifest = load_text(
        "x-ports: &ports [80]\ncontainers: {a: {ports: *ports}, b: {ports: *ports}, c: {ports: *ports}}",
        "containers: {a: {ports: [81]}, b: {ports: [82]}}",
    )
    assert [[port.target for port in each.ports] for each in manifest.containers] == [[80, 81], [80, 82], [80]]
