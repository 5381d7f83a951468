"""What others use cannot go: jobs that somebody relates to, routers that somebody goes through."""

from __future__ import annotations

import pytest

from reconciler.plan.diff import diff
from reconciler.state import State
from tests.unit.desired.runs import message, plan, refused, up

JOB = """
name: s1
networks: {n: {name: n}}
containers:
  job: {networks: [n], command: [sleep, "1"], rm: true}
"""
SIDE = "name: s2\nnetworks: {n: {external: true}}\ncontainers:\n  side: {%s}\n"
USES = {
    "network_mode: 'container:s1/job'": "s2/side joins it (network_mode)",
    "external_links: [s1/job], networks: [n]": "s2/side links to it",
    "networks: {n: {gateway: 'container:s1/job'}}": "s2/side goes through it (gateway)",
    "command: [sleep, '1'], pid: 'container:s1/job', networks: [n]": "s2/side shares its pid namespace",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("together", [True, False])
def test_a_job_of_another_stack_is_nothing_to_rely_on(use: str, together: bool) -> None:
    side = SIDE % use
    told = message(JOB, side) if together else message(side, on=up(JOB))
    assert told.startswith("-:4:")
    place = " at -:5:3" if together else ""
    assert f"container s1/job{place} is removed when it ends (rm: true), and {USES[use]}" in told


ROUTER = """
name: s1
networks: {n: {name: n, ipam: {config: [{subnet: 10.2.0.0/24}]}}%s}
containers: {r: {networks: {%s}}%s}
"""
STAYS = ROUTER % ("", "n: {ipv4_address: 10.2.0.9}", ", x: {networks: [n]}")
CLIENT = "name: s2\nnetworks: {n: {external: true}}\ncontainers: {y: {networks: {n: {gateway: 'container:s1/r'}}}}\n"


def test_a_router_that_another_stack_goes_through_cannot_go() -> None:
    host = up(STAYS, CLIENT)
    assert diff(host.state, plan(STAYS, on=host)) == ()
    told = message((ROUTER % ("", "n: ", "")).replace("{r:", "{x:"), on=host)
    assert "container s1/r is the gateway of s2/y" in told
    assert "name their manifests in the same run" in told
    assert any("s1/r is the gateway of s2/y" in each.message for each in refused(on=host, down="s1"))
    assert plan(on=up(on=host, down="s2"), down="s1") == State()


def test_a_router_stays_where_it_was_for_those_of_other_stacks() -> None:
    host = up(STAYS, CLIENT)
    elsewhere = ROUTER % ("", "n: {ipv4_address: 10.2.0.8}", ", x: {networks: [n]}")
    told = message(elsewhere, on=host)
    assert "container s1/r is the gateway of s2/y, and would not be at 10.2.0.9 on network n any more" in told
    plan(elsewhere, CLIENT, on=host)
    # Whoever takes the router's address takes its place.
    plan(ROUTER % ("", "n: {ipv4_address: 10.2.0.8}", ", x: {networks: {n: {ipv4_address: 10.2.0.9}}}"), on=host)


LAN = "driver: macvlan, driver_opts: {parent: lan0}, ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.254}]}"


def test_a_router_on_a_lan_is_kept_too() -> None:
    router = (
        f"name: s1\nnetworks: {{n: {{name: n, {LAN}}}}}\ncontainers: {{r: {{networks: [n]}}, x: {{networks: [n]}}}}\n"
    )
    client = CLIENT.replace("gateway:", "ipv4_address: 192.0.2.7, gateway:")
    host = up(router, client)
    assert diff(host.state, plan(router, on=host)) == ()
    assert diff(host.state, plan(client, on=host)) == ()
    told = message(router.replace("r: {networks: [n]}, ", ""), on=host)
    assert "container s1/r is the gateway of s2/y" in told
