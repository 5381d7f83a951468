"""Allocation of subnets and addresses against a small model."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.build import desired
from reconciler.desired.subnet import in_hash_order, parse_interface, parse_subnet
from reconciler.errors import NetapplyError
from reconciler.manifest.model import Attachment, Container, Manifest, Network, Pool
from reconciler.observation import Facts, Observation
from reconciler.resources.address import Address
from reconciler.resources.bridge import Bridge
from reconciler.state import State
from tests.property.simulation import as_observed
from tests.property.strategies import scope, seen

NOTHING = Observation(State())

members = st.dictionaries(
    st.sampled_from([f"c{number}" for number in range(8)]),
    st.sampled_from([None, None, "10.7.0.2", "10.7.0.3", "10.7.0.4", "10.7.0.5", "10.7.0.6"]),
    min_size=1,
)
pools = st.builds(
    Pool,
    st.sampled_from(["10.7.0.0/29", "10.7.0.0/28", "10.7.0.0/30", "10.7.0.0/31", "10.7.0.0/32"]),
    gateway=st.sampled_from([None, "10.7.0.1"]),
    ip_range=st.none(),
    aux_addresses=st.sampled_from([(), (("router", "10.7.0.3"),), (("one", "10.7.0.1"), ("two", "10.7.0.4"))]),
).filter(lambda pool: pool.gateway is None or (pool.gateway not in dict(pool.aux_addresses).values()))


def stack(pool: Pool, given_addresses: Mapping[str, str | None]) -> Manifest:
    containers = tuple(
        Container(name, attachments=(Attachment("front", ipv4_address=address),))
        for name, address in given_addresses.items()
    )
    return Manifest(
        "shop",
        named=True,
        origin="/shop.yaml",
        networks=(Network("front", "shop_front", pools=(pool,)),),
        containers=containers,
    )


def addresses(state: State) -> dict[str, str]:
    return {
        address.place.partition("/")[2]: address.address.partition("/")[0]
        for address in state
        if isinstance(address, Address) and address.namespace
    }


def solvable(pool: Pool, given_addresses: dict[str, str | None]) -> bool:
    """Whether there is an answer: every fixed address is free and a host's, and enough others are left."""
    network = ip_network(pool.subnet)
    free = {str(host) for host in network.hosts()}
    aux = set(dict(pool.aux_addresses).values())
    gateway = pool.gateway or next((str(host) for host in network if str(host) in free - aux), None)
    fixed = [address for address in given_addresses.values() if address]
    free -= aux | {gateway or ""}
    waiting = len(given_addresses) - len(fixed)
    return len(set(fixed)) == len(fixed) and free.issuperset(fixed) and len(free) - len(fixed) >= waiting


@given(pools, members)
def test_addresses_are_given_exactly_when_there_is_an_answer(pool: Pool, asked: dict[str, str | None]) -> None:
    manifest = stack(pool, asked)
    if not solvable(pool, asked):
        with pytest.raises(NetapplyError):
            desired(scope(manifest), NOTHING)
        return
    found = addresses(desired(scope(manifest), NOTHING))
    assert found.keys() == asked.keys()
    assert len(set(found.values())) == len(found)
    reserved = {pool.gateway, *dict(pool.aux_addresses).values()}
    for name, address in found.items():
        assert ip_address(address) in ip_network(pool.subnet)
        assert address not in reserved
        assert asked[name] in {None, address}


crowds = st.lists(st.sampled_from([f"c{number}" for number in range(13)]), unique=True, min_size=1)


@given(crowds, crowds, st.data())
def test_neighbours_that_come_and_go_move_nobody(first: list[str], second: list[str], data: st.DataObject) -> None:
    # Thirteen addresses are free: nearly every new neighbour wants one that is taken.
    pool = Pool("10.7.0.0/28")
    old = desired(scope(stack(pool, dict.fromkeys(first))), NOTHING)
    names = data.draw(st.permutations([*dict.fromkeys((*first, *second))]))
    new = addresses(desired(scope(stack(pool, dict.fromkeys(names))), seen(as_observed(old))))
    assert {name: new[name] for name in addresses(old)} == addresses(old)
    left = addresses(desired(scope(stack(pool, dict.fromkeys(second))), seen(as_observed(old))))
    assert {name: left[name] for name in second if name in first} == {
        name: address for name, address in addresses(old).items() if name in second
    }


@given(members, st.sampled_from(["10.7.0.2", "10.7.0.9", "10.7.0.14"]))
def test_a_fixed_address_wins_wherever_it_stands(asked: dict[str, str | None], address: str) -> None:
    free: dict[str, str | None] = dict.fromkeys(asked)
    pool = Pool("10.7.0.0/28")
    first = desired(scope(stack(pool, {**free, "zz": address})), NOTHING)
    last = desired(scope(stack(pool, {"zz": address, **free})), NOTHING)
    assert first == last
    assert addresses(first)["zz"] == address
    # Also against one who has it already.
    present = desired(scope(stack(pool, free)), NOTHING)
    later = addresses(desired(scope(stack(pool, {**free, "zz": address})), seen(as_observed(present))))
    moved = {name for name, old in addresses(present).items() if later[name] != old}
    assert later["zz"] == address
    assert all(addresses(present)[name] == address for name in moved)


@pytest.mark.parametrize(
    ("subnet", "ip_range"),
    [
        ("10.7.0.0/24", "10.7.0.64/30"),
        ("10.7.0.0/24", "10.7.0.254/31"),
        ("10.7.0.0/16", "10.7.0.0/16"),
        ("10.0.0.0/8", "10.255.255.252/30"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.7.0.0/28", "10.7.0.0/28"),
    ],
)
def test_automatic_addresses_stay_in_the_range(subnet: str, ip_range: str) -> None:
    pool = Pool(subnet, gateway=str(ip_network(subnet)[5]), ip_range=ip_range)
    (found,) = addresses(desired(scope(stack(pool, {"one": None})), NOTHING)).values()
    network = ip_network(subnet)
    assert ip_address(found) in ip_network(ip_range)
    assert found not in {pool.gateway, str(network[0]), str(network[-1])}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("10.7.0.0", "first or last of 10.7.0.0/28"),
        ("10.7.0.15", "first or last of 10.7.0.0/28"),
        ("10.7.0.1", "taken by the gateway"),
        ("10.7.0.3", "taken by an aux address"),
        ("10.7.1.3", "outside network shop_front"),
    ],
)
def test_an_address_that_no_container_can_have_is_an_error(address: str, message: str) -> None:
    pool = Pool("10.7.0.0/28", aux_addresses=(("router", "10.7.0.3"),))
    with pytest.raises(NetapplyError, match=message):
        desired(scope(stack(pool, {"one": address})), NOTHING)


def test_a_given_subnet_that_is_there_stays_when_a_route_comes_to_overlap_it() -> None:
    manifest = stack(Pool("10.7.0.0/28"), {"one": None})
    made = desired(scope(manifest), NOTHING)
    route = Facts(taken_subnets=("10.0.0.0/8",))
    assert desired(scope(manifest), seen(as_observed(made), route)) == made
    with pytest.raises(NetapplyError, match=r"overlaps 10\.0\.0\.0/8, a route or address of the host"):
        desired(scope(manifest), Observation(State(), route))


def test_a_range_without_an_address_for_hosts_is_full() -> None:
    pool = Pool("10.7.0.0/24", ip_range="10.7.0.255/32")
    with pytest.raises(NetapplyError, match="no free address"):
        desired(scope(stack(pool, {"one": None})), NOTHING)


prefixes = st.builds(
    lambda value, length: f"{ip_network((value, length), strict=False)}",
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
) | st.builds(
    lambda value, length: f"{ip_network((value, length), strict=False)}",
    st.integers(2**32, 2**128 - 1),
    st.integers(0, 128),
)  # fmt: skip


@given(prefixes, prefixes)
def test_overlap_is_the_standard_library_s(first: str, second: str) -> None:
    one, other = ip_network(first), ip_network(second)
    wanted = one.version == other.version and one.overlaps(other)
    assert parse_subnet(first).overlaps(parse_subnet(second)) == wanted
    assert parse_subnet(second).overlaps(parse_subnet(first)) == wanted


@given(prefixes)
def test_subnets_are_printed_as_they_are_read(text: str) -> None:
    network, subnet = ip_network(text), parse_subnet(text)
    assert str(subnet) == text
    assert (subnet.base, subnet.last) == (int(network.network_address), int(network.broadcast_address))
    assert parse_interface(text)[1] == subnet
    if network.num_addresses <= 4096:
        hosts = [int(host) for host in network.hosts()]
        assert subnet.usable == (hosts[0], hosts[-1])


@given(st.integers(0, 2**128), st.integers(0, 300), st.text())
def test_the_hash_order_has_every_number_once(first: int, size: int, name: str) -> None:
    order = list(in_hash_order(first, first + size, name))
    assert sorted(order) == list(range(first, first + size + 1))


def _networks(keys: list[str]) -> Manifest:
    networks = tuple(Network(key, f"shop_{key}", enable_ipv6=True) for key in keys)
    containers = tuple(Container(key, attachments=(Attachment(key),)) for key in keys)
    return Manifest("shop", named=True, origin="/shop.yaml", networks=networks, containers=containers)


def _subnets(state: State) -> list[str]:
    bridges = {bridge.interface for bridge in state if isinstance(bridge, Bridge)}
    found = [address.address for address in state if isinstance(address, Address) and address.interface in bridges]
    return [str(ip_interface(address).network) for address in found]


taken_by_host = st.lists(
    st.sampled_from(["172.16.0.0/13", "172.28.0.0/14", "172.24.0.0/14", "172.16.0.0/12", "0.0.0.0/1", "fd00::/9"]),
    max_size=3,
)


@given(st.lists(st.text("abcde", min_size=1, max_size=3), min_size=1, max_size=6, unique=True), taken_by_host)
def test_automatic_subnets_avoid_the_host_and_each_other(keys: list[str], taken: list[str]) -> None:
    manifest = _networks(keys)
    observation = Observation(State(), Facts(taken_subnets=tuple(taken)))
    exhausted = {"172.16.0.0/12"} & {*taken} or {"172.16.0.0/13", "172.28.0.0/14", "172.24.0.0/14"} <= {*taken}
    if exhausted:
        with pytest.raises(NetapplyError, match="no IPv4 subnet is free"):
            desired(scope(manifest), observation)
        return
    made = desired(scope(manifest), observation)
    subnets = [parse_subnet(subnet) for subnet in _subnets(made)]
    assert len(subnets) == 2 * len(keys)
    for place, subnet in enumerate(subnets):
        assert not any(subnet.overlaps(parse_subnet(other)) for other in (*taken, "172.17.0.0/16"))
        assert not any(subnet.overlaps(other) for other in subnets[:place])
    # A route that comes later moves nobody.
    later = seen(as_observed(made), Facts(taken_subnets=("172.16.0.0/12",)))
    assert desired(scope(manifest), later) == made


def test_a_network_that_outgrows_its_subnet_gets_a_larger_one() -> None:
    def crowd(size: int) -> Manifest:
        containers = tuple(Container(f"c{number}", attachments=(Attachment("front"),)) for number in range(size))
        return Manifest(
            "shop", named=True, origin="/shop.yaml", networks=(Network("front", "shop_front"),), containers=containers
        )

    small = desired(scope(crowd(20)), NOTHING)
    large = desired(scope(crowd(400)), seen(as_observed(small)))
    assert len(addresses(large)) == 400
    kept = desired(scope(crowd(30)), seen(as_observed(small)))
    assert _subnets(kept) == _subnets(small)


def test_more_links_than_a_bridge_takes_is_an_error() -> None:
    containers = tuple(Container(f"c{number}", attachments=(Attachment("front"),)) for number in range(1024))
    manifest = Manifest(
        "shop", named=True, origin="/shop.yaml", networks=(Network("front", "shop_front"),), containers=containers
    )
    with pytest.raises(NetapplyError, match="1024 containers; a bridge takes 1023"):
        desired(scope(manifest), NOTHING)
