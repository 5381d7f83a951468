"""The nftables backend's pure half: policy to script, listing to policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import NetapplyError, Source
from reconciler.firewall.nftables import REBUILD, transaction
from reconciler.firewall.nftables_elements import elements
from reconciler.firewall.nftables_layout import BASE_CHAINS, LEDGERS, MAPS, PATH, RULES, SETS, fixed
from reconciler.firewall.nftables_listing import Digests
from reconciler.firewall.nftables_masquerade import masquerade_chain, ports_of
from reconciler.firewall.nftables_parse import digests, parse
from reconciler.firewall.opening import Opening
from reconciler.firewall.policy import FirewallBase, NetworkPolicy, PublishedPort, StackPolicy

BASE = FirewallBase("nftables")
PORT = PublishedPort("shop", "shop/web", "tcp", "0.0.0.0", 8080, "10.0.0.2", 80)
NETWORK = NetworkPolicy("shop", "shop/front", "br0", ("10.0.0.0/24",), masquerade6=False)


def test_one_more_port_is_one_command() -> None:
    assert transaction([(None, PORT)], base_present=True) == (
        f'add element {PATH} ports4_any {{ 6 . 8080 comment "shop/web" : 10.0.0.2 . 80 }}\n'
    )


def test_a_changed_port_is_removed_before_it_is_added() -> None:
    after = replace(PORT, target_port=81)
    assert transaction([(PORT, after)], base_present=True).splitlines() == [
        f"delete element {PATH} ports4_any {{ 6 . 8080 }}",
        f'add element {PATH} ports4_any {{ 6 . 8080 comment "shop/web" : 10.0.0.2 . 81 }}',
    ]


def test_all_removals_come_before_all_additions() -> None:
    taken = replace(PORT, container="shop/app")
    verbs = [line.split()[0] for line in transaction([(None, taken), (PORT, None)], base_present=True).splitlines()]
    assert verbs == ["delete", "add"]


def test_only_what_differs_is_written() -> None:
    assert transaction([(NETWORK, replace(NETWORK, icc=False))], base_present=True, standing=[NETWORK]) == (
        f'add element {PATH} apart {{ "br0" comment "shop/front" }}\n'
    )


def test_nothing_to_do_is_no_script() -> None:
    assert (
        transaction([], base_present=True)
        == transaction([], base_present=False)
        == transaction([(PORT, PORT)], base_present=True)
        == ""
    )
    assert transaction([(BASE, None)], base_present=False) == ""
    assert transaction([(PORT, None)], base_present=False) == ""


def test_without_a_table_the_fixed_part_comes_first() -> None:
    script = transaction([(None, PORT)], base_present=False)
    assert fixed(BASE.mark) in script
    assert script.index("add rule") < script.index("add element")


def test_deleting_the_base_deletes_the_table_alone() -> None:
    assert transaction([(PORT, None), (BASE, None), (NETWORK, None)], base_present=True) == f"delete table {PATH}\n"


def test_repair_leaves_the_elements() -> None:
    script = transaction([(replace(BASE, intact=False), BASE)], base_present=True)
    assert "element" not in script
    assert "delete table" not in script
    assert all(f"flush chain {PATH} {name}\n" in script for name in RULES)


def test_a_table_that_cannot_be_repaired_is_made_anew_with_everything() -> None:
    broken = replace(BASE, intact=False, strays=(REBUILD,))
    script = transaction([(broken, BASE), (None, PORT)], base_present=True)
    assert script.index(f"delete table {PATH}") < script.index("add rule") < script.index("add element")


@pytest.mark.parametrize("interface", ['br0" }', "br*", "", "a" * 16, "br0\n", "br 0"])
def test_an_interface_cannot_end_its_word(interface: str) -> None:
    place = Source("stack.yaml", 3, 5)
    with pytest.raises(NetapplyError, match=r"stack\.yaml:3:5"):
        elements(replace(NETWORK, interface=interface, source=place))


@pytest.mark.parametrize("container", ["shop/a b", "shop", "shop/a/b", 'shop/a"', "shop/a\n", f"shop/{'a' * 130}"])
def test_a_label_cannot_end_its_word(container: str) -> None:
    with pytest.raises(NetapplyError):
        elements(replace(PORT, container=container))


@pytest.mark.parametrize("address", ["10.0.0.2 }", "host", "", "10.0.0.2\n"])
def test_an_address_cannot_end_its_word(address: str) -> None:
    with pytest.raises(NetapplyError):
        elements(replace(PORT, target_address=address))


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(NetapplyError, match="icmp"):
        elements(replace(PORT, protocol="icmp"))


OPEN = Opening("shop", "shop/web", "tcp", 80, 90)
OTHER = Opening("blog", "blog/web", "tcp", 85, 95)


def test_what_another_opens_too_stays_open() -> None:
    script = transaction([(OPEN, None)], base_present=True, standing=[OPEN, OTHER]).splitlines()
    assert f"delete element {PATH} opened {{ 6 . 80-84, 6 . 85-90, 6 . 91-95 }}" in script
    assert f"add element {PATH} opened {{ 6 . 85-95 }}" in script
    same = replace(OTHER, first=80, last=90)
    (only,) = transaction([(OPEN, None)], base_present=True, standing=[OPEN, same]).splitlines()
    assert only.startswith(f"delete element {PATH} openings ")


def test_repair_writes_anew_what_openings_open_together() -> None:
    script = transaction([(replace(BASE, intact=False), BASE)], base_present=True, standing=[OPEN, OTHER])
    assert f"flush set {PATH} opened\n" in script
    assert f"add element {PATH} opened {{ 6 . 80-84, 6 . 85-90, 6 . 91-95 }}\n" in script


RANGED = replace(NETWORK, masquerade_ports=(7, 9))
NEIGHBOUR = replace(RANGED, network="shop/back", interface="br1", subnets=("10.1.0.0/24",))
MADE = [
    f"add chain {PATH} masquerade_7_9",
    f"flush chain {PATH} masquerade_7_9",
    f"add rule {PATH} masquerade_7_9 meta l4proto {{ 6, 17, 132 }} masquerade to :7-9",
    f"add rule {PATH} masquerade_7_9 masquerade",
]
GONE = [f"flush chain {PATH} masquerade_7_9", f"delete chain {PATH} masquerade_7_9"]


@pytest.mark.founding("S1-30")
def test_a_range_of_ports_has_its_chain() -> None:
    free = f'delete element {PATH} outward4 {{ "br0" }}'
    led = f'add element {PATH} outward4 {{ "br0" comment "shop/front" : goto masquerade_7_9 }}'
    unled = f'add element {PATH} outward4 {{ "br0" comment "shop/front" : goto translate }}'
    assert transaction([(NETWORK, RANGED)], base_present=True, standing=[NETWORK]).splitlines() == [free, *MADE, led]
    assert transaction([(RANGED, NETWORK)], base_present=True, standing=[RANGED]).splitlines() == [free, *GONE, unled]
    script = transaction([(None, RANGED)], base_present=False)
    assert script.index(MADE[-1]) < script.index("add element")


def test_a_range_of_several_networks_goes_with_the_last() -> None:
    def chains(*pairs: tuple[NetworkPolicy | None, NetworkPolicy | None]) -> list[str]:
        standing = [before for before, _ in pairs if before] if len(pairs) > 1 else [RANGED, NEIGHBOUR]
        script = transaction(pairs, base_present=True, standing=standing)
        return [each for each in script.splitlines() if "chain" in each.split()[:2]]

    assert chains((RANGED, None)) == chains((NEIGHBOUR, replace(NEIGHBOUR, masquerade_ports=None))) == []
    assert chains((RANGED, None), (NEIGHBOUR, None)) == GONE
    assert chains((RANGED, NETWORK), (replace(NEIGHBOUR, masquerade_ports=None), NEIGHBOUR)) == []


def test_repair_writes_the_chains_of_ranges_anew() -> None:
    broken = replace(BASE, intact=False)
    script = transaction([(broken, BASE)], base_present=True, standing=[RANGED, NEIGHBOUR])
    assert "\n".join(MADE) in script
    assert "delete chain inet netapply masquerade" not in script


def test_the_chain_of_every_port_is_never_made_nor_removed() -> None:
    every = replace(NETWORK, masquerade_ports=(1, 65535))
    there, back = (
        transaction([pair], base_present=True, standing=[pair[0]]) for pair in ((NETWORK, every), (every, NETWORK))
    )
    assert "goto masquerade_1_65535" in there
    assert "chain" not in there + back


@pytest.mark.parametrize(
    "name",
    ["masquerade", "masquerade_0_5", "masquerade_5_4", "masquerade_1_65536", "masquerade_01_5", "masquerade_1_5x"],
)
def test_only_names_that_we_write_are_ranges(name: str) -> None:
    assert ports_of(name) is None
    assert ports_of(masquerade_chain((1, 65535))) == (1, 65535)


def test_a_limited_port_without_its_limit_is_a_stray() -> None:
    place = {"family": "inet", "table": "netapply"}
    source = {"elem": {"val": {"concat": ["10.0.0.1", 6, 8080]}, "comment": "shop/web"}}
    sources: dict[str, object] = {"set": {**place, "name": "sources4_any", "elem": [source]}}
    base, *found = read(port_map(element(8080, "shop/web")), sources)
    assert isinstance(base, FirewallBase)
    assert (base.intact, found) == (False, [])


def test_rules_use_what_is_declared() -> None:
    words = {word.strip("@") for rules in RULES.values() for rule in rules for word in rule.split() if "@" in word}
    assert words == {*SETS, *MAPS} - LEDGERS
    assert set(BASE_CHAINS) <= set(RULES)


def listing(*entries: dict[str, object]) -> dict[str, object]:
    return {"nftables": [{"metainfo": {"version": "1"}}, {"table": {"family": "inet", "name": "netapply"}}, *entries]}


def port_map(*listed: object) -> dict[str, object]:
    return {"map": {"family": "inet", "name": "ports4_any", "table": "netapply", "handle": 1, "elem": [*listed]}}


def element(port: object, comment: str) -> list[object]:
    return [{"elem": {"val": {"concat": [6, port]}, "comment": comment}}, {"concat": ["10.0.0.2", 80]}]


def read(*entries: dict[str, object], known: bool = True) -> list[FirewallBase | StackPolicy]:
    whole = listing(*entries)
    return parse(whole, {digests(whole)} if known else {Digests("", "")})


def test_a_port_is_read_back() -> None:
    assert read(port_map(element(8080, "shop/web"))) == [BASE, PORT]


@pytest.mark.parametrize("comment", ["", "web", "shop/web/x", "shop/we b"])
def test_an_element_without_an_owner_is_a_stray(comment: str) -> None:
    (base,) = read(port_map(element(8080, comment)))
    assert isinstance(base, FirewallBase)
    assert not base.intact
    assert base.strays == (f"element {PATH} ports4_any {{ 6 . 8080 }}",)


def test_an_element_of_an_unknown_form_means_a_new_table() -> None:
    (base,) = read(port_map(element({"set": [1, 2]}, "shop/web")))
    assert isinstance(base, FirewallBase)
    assert base.strays == (REBUILD,)


def test_an_unknown_fixed_part_is_not_intact() -> None:
    (base,) = read(port_map(), known=False)
    assert base == replace(BASE, intact=False)


def test_handles_and_elements_do_not_count_in_the_digest() -> None:
    one, two = port_map(), port_map(element(1, "a/b"))
    two["map"]["handle"] = 9  # type: ignore[index]  # built just above
    assert digests(listing(one)) == digests(listing(two))


def rule(*expressions: object, chain: str = "pass", handle: int = 1) -> dict[str, object]:
    return {"rule": {"family": "inet", "table": "netapply", "chain": chain, "handle": handle, "expr": [*expressions]}}


CHAIN: dict[str, object] = {"chain": {"family": "inet", "table": "netapply", "name": "pass", "handle": 4}}


def mark(bit: int) -> dict[str, object]:
    return {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, bit]}}}


def test_the_mark_is_read_and_does_not_count_in_the_digest() -> None:
    one, two = (listing(CHAIN, rule(mark(bit), {"accept": None})) for bit in (0x2000000, 0x4000000))
    assert digests(one) == digests(two)
    (base,) = parse(two, {digests(one)})
    assert base == replace(BASE, mark=0x4000000)


def test_the_order_of_rules_counts() -> None:
    one, two = {"accept": None}, {"drop": None}
    assert digests(listing(CHAIN, rule(one), rule(two))) != digests(listing(CHAIN, rule(two), rule(one)))
