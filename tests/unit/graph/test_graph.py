"""Pictures of a topology: what they show, that they are well formed, and that nothing in a name breaks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from reconciler import manifest
from reconciler.cli import graph
from reconciler.cli.main import Settings
from reconciler.desired.assumed import assumed_facts
from reconciler.desired.build import desired
from reconciler.desired.scope import Scope
from reconciler.firewall.policy import PublishedPort
from reconciler.graph import dot, mermaid, page, svg
from reconciler.graph.layout import BOX_WIDTH, layout
from reconciler.graph.topology import Mark, Topology, marked, topology
from reconciler.observation import Observation
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.state import State

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "manifests").glob("*.yaml"))
RENDERERS: dict[str, Callable[[Topology], str]] = {
    "mermaid": mermaid.render,
    "dot": dot.render,
    "svg": svg.render,
    "html": lambda each: page.render(each, "title"),
}
EVIL = "\"]-->x;<b>&'\\\n\x07é"


def made(text: str, folder: Path) -> State:
    path = folder / "shop.yaml"
    path.write_text(text)
    manifests = manifest.stacks([str(path)], environment={})
    stacks = frozenset(each.stack for each in manifests)
    return desired(Scope(stacks, manifests), Observation(State(), assumed_facts(manifests)))


SHOP = """
name: shop
networks: {front: {}, back: {internal: true}, side: {}}
containers:
  app: {networks: [front, back, side]}
  web: {networks: [front], ports: ["8080:80", "127.0.0.1:9090:90"]}
  helper: {network_mode: "service:web"}
  node: {network_mode: host}
"""


@pytest.fixture
def shop(tmp_path: Path) -> State:
    return made(SHOP, tmp_path)


def test_what_stands_there(shop: State) -> None:
    found = topology(shop)
    assert [each.name for each in found.networks] == ["shop_back", "shop_front", "shop_side"]
    assert found.networks[0].words[1:] == ("internal",)
    assert {each.identity: each.home for each in found.containers} == {
        "shop/app": "",
        "shop/helper": "network of container web",
        "shop/node": "network of the host",
        "shop/web": "",
    }
    assert [port.text for port in found.containers[3].ports] == ["127.0.0.1:9090 -> 90/tcp", "8080 -> 80/tcp"]
    assert marked(found).containers == ()


def test_marks(shop: State, tmp_path: Path) -> None:
    changed = SHOP.replace("[front, back, side]", "[front, back]").replace('"8080:80"', '"8081:80"')
    after = made(changed.replace("  node: {network_mode: host}\n", "  new: {networks: [back]}\n"), tmp_path)
    found = topology(after, shop)
    assert {each.identity: each.mark for each in found.containers} == {
        "shop/app": Mark.CHANGED,
        "shop/helper": Mark.SAME,
        "shop/new": Mark.ADDED,
        "shop/node": Mark.REMOVED,
        "shop/web": Mark.CHANGED,
    }
    assert {each.identity: each.mark for each in found.networks} == {
        "shop/back": Mark.SAME,  # that somebody joins it is not its own change
        "shop/front": Mark.SAME,
        "shop/side": Mark.REMOVED,
    }
    app = found.containers[0]
    assert {each.network: each.mark for each in app.members} == {
        "shop/back": Mark.SAME,
        "shop/front": Mark.SAME,
        "shop/side": Mark.REMOVED,
    }
    assert {port.text: port.mark for port in found.containers[-1].ports} == {
        "127.0.0.1:9090 -> 90/tcp": Mark.SAME,
        "8080 -> 80/tcp": Mark.REMOVED,
        "8081 -> 80/tcp": Mark.ADDED,
    }
    assert [each.identity for each in marked(found).containers] == ["shop/app", "shop/new", "shop/node", "shop/web"]


def test_only_the_named_stacks(shop: State) -> None:
    other = Namespace("blog", "blog/wiki", "o")
    both = shop.merged(State([other]))
    assert len(topology(both).containers) == 5
    assert [each.identity for each in topology(both, stacks=frozenset({"blog"})).containers] == ["blog/wiki"]
    assert topology(both, stacks=frozenset({"blog"})).networks == ()


def test_no_box_is_on_another_and_no_wire_crosses_one(shop: State) -> None:
    plan = layout(topology(shop))
    assert len(plan.boxes) == 4
    for first in plan.boxes:
        for second in plan.boxes:
            if first is not second and first.x < second.x + BOX_WIDTH and second.x < first.x + BOX_WIDTH:
                assert first.y + first.height < second.y or second.y + second.height < first.y
    for wire in plan.wires:
        low, high = sorted((wire.start, wire.end))
        for box in plan.boxes:
            crosses = box.x <= wire.x <= box.x + BOX_WIDTH and low < box.y + box.height and box.y < high
            assert not crosses
    assert len(plan.wires) == 2
    for upper, lower in pairwise(plan.lanes):
        assert upper.y + upper.height < lower.y


@pytest.mark.parametrize("name", RENDERERS)
def test_the_same_bytes_for_the_same_topology(shop: State, name: str) -> None:
    backwards = State(reversed(list(shop)))
    assert RENDERERS[name](topology(shop)) == RENDERERS[name](topology(backwards))


def evil_state() -> State:
    name = f"shop/{EVIL}"
    return State(
        (
            Namespace("shop", name, "o"),
            Bridge("shop", "shop/front", EVIL, "na-x", "02:00:00:00:00:01", "o"),
            Endpoint("shop", name, EVIL, "nv-x", EVIL, "na-x", "02:00:00:00:00:02", "o"),
            PublishedPort("shop", name, "tcp", "0.0.0.0", 80, "10.0.0.2", 80),
        )
    )


def test_svg_is_xml_whatever_the_names_are() -> None:
    tree = ET.fromstring(svg.render(topology(evil_state())))  # noqa: S314  # our own text
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert names == {"svg", "style", "g", "rect", "text", "title"}
    assert any("<b>&'" in (element.text or "") for element in tree.iter())


def test_mermaid_labels_hold_no_sign_that_means_anything() -> None:
    for line in mermaid.render(topology(evil_state())).splitlines()[1:]:
        for label in re.findall(r'"([^"]*)"', line):
            assert re.fullmatch(r"[\w ,.:/=#;<>-]*", label.replace("<br/>", " "))
        assert line.count('"') in {0, 2}
        assert re.fullmatch(r"    (c\d+|n\d+|classDef|class) ?.*", line)
    assert "#62;" in mermaid.escaped(">")
    # What begins like a list's item would be refused as Markdown.
    assert mermaid.escaped("- a") == "#45; a"


def test_dot_labels_cannot_end_early() -> None:
    text = dot.render(topology(evil_state()))
    without = re.sub(r'"(?:[^"\\]|\\.)*"', "LABEL", text)
    assert '"' not in without
    assert set(re.findall(r"[a-z]+\d*", without)) <= {
        *("graph", "netapply", "rankdir", "node", "fontname", "shape", "ellipse", "box", "label"),
        *("n0", "c0"),
    }


def yaml_names(path: Path) -> list[str]:
    (read,) = manifest.stacks([str(path)], environment={})
    return [each.name for each in read.containers]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", RENDERERS)
def test_every_example_is_drawn_without_a_host(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    done = CliRunner().invoke(graph.command, [str(path), "--format", name], obj=Settings("", "auto", "text", False))  # noqa: FBT003  # positional as the class has it
    assert done.exception is None, done.output
    names = yaml_names(path)
    assert names
    for each in names:
        assert each in done.output.replace("#45;", "-")


def test_a_large_host_is_drawn_whole(benchmark_state: State) -> None:
    picture = svg.render(topology(benchmark_state))
    assert picture.count('class="box ') == 1000


@pytest.fixture
def benchmark_state(tmp_path: Path) -> State:
    lines = "\n".join(f"  c{number}: {{networks: [front]}}" for number in range(1000))
    return made(
        f"name: shop\nnetworks: {{front: {{ipam: {{config: [{{subnet: 10.9.0.0/16}}]}}}}}}\ncontainers:\n{lines}\n",
        tmp_path,
    )
