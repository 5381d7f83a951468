"""Plans and graphs as pages, in a real browser: nothing wrong, the marks there, readable without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.rendering import rendered
from reconciler.desired.build import desired
from reconciler.errors import Problem, Source
from reconciler.firewall.policy import NetworkPolicy, PublishedPort
from reconciler.graph import page as graph_page
from reconciler.graph.topology import topology
from reconciler.plan.change import Create
from reconciler.plan.diff import diff
from reconciler.plan.plan import Plan, order
from reconciler.resources.bridge import Bridge
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace
from reconciler.resources.process import Process
from reconciler.state import State
from tests.browser.chromium import Chromium, installed
from tests.unit.test_cases import CASES, read_case

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
HOSTILE = "<img src=x onerror=window.pwned=1></script><script>window.pwned=1</script>'\"&]]>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    if not installed():
        pytest.skip("no Chromium is installed here, and tools/setup.sh could install none")
    with Chromium() as found:
        yield found


def plan_page(before: State, after: State, *warnings: Problem) -> str:
    plan = Plan(order(diff(before, after), before, after), warnings)
    return rendered(plan, before, after, {"shop"}, "html")


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network goes, another comes, and the container that moves is changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(CASES / "settings-of-an-interface-made-anew")
        case = read_case(CASES / "settings-of-an-interface-made-anew")
    path = tmp_path_factory.mktemp("pages") / "plan.html"
    path.write_text(plan_page(case.observation.state, desired(case.scope, case.observation)))
    return path


def test_a_plan_shows_what_changes_and_nothing_is_wrong(browser: Chromium, plan_file: Path) -> None:
    page = browser.open(plan_file)
    page.screenshot(SCREENSHOTS / "plan.png")

    assert page.evaluate("document.querySelectorAll('svg .lane.removed').length") == 1
    assert page.evaluate("document.querySelectorAll('svg .lane.added').length") == 1
    assert page.evaluate("document.querySelectorAll('svg .box.changed').length") == 1
    assert page.evaluate("document.querySelectorAll('svg .wire.added').length") == 1
    assert page.evaluate("getComputedStyle(document.querySelector('svg .lane.removed rect')).strokeDasharray") != "none"
    assert page.visible("section") == ["n0", "n1", "c0"]
    assert page.faults() == []
    assert page.requests() == [plan_file.as_uri()]


def test_a_click_in_the_picture_shows_that_parts_changes_alone(browser: Chromium, plan_file: Path) -> None:
    page = browser.open(plan_file)

    page.click("svg a[href='#c0'] .name")
    assert page.becomes_visible("section", ["c0"])
    shown = page.evaluate("document.querySelector('#c0').innerText")
    assert "eth0 on network shop_side, 172.18.53.82/24" in shown
    assert "host_interface changed" in shown
    assert "manifest.yaml:5:7" in shown

    page.click("#all")
    assert page.becomes_visible("section", ["n0", "n1", "c0"])
    page.click("svg a[href='#n1'] .name")
    assert page.becomes_visible("section", ["n1"])
    assert page.faults() == []


def test_old_and_new_values_are_there(browser: Chromium, plan_file: Path) -> None:
    page = browser.open(plan_file, fragment="#c0")
    rows = page.evaluate(
        "[...document.querySelectorAll('#c0 .values tr.changed')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert ["line", "172.20.229.161 web", ""] in rows
    assert ["line", "", "172.18.53.82 web"] in rows


def test_without_javascript_it_is_a_table_to_read(browser: Chromium, plan_file: Path) -> None:
    page = browser.open(plan_file, scripts=False)

    assert page.visible("section") == ["n0", "n1", "c0"]
    assert page.visible("#all") == []
    page.click("svg a[href='#c0'] .name")
    assert page.becomes_visible("section:target", ["c0"])
    assert page.visible("section") == ["n0", "n1", "c0"]


def test_a_click_on_a_port_leads_to_its_change(
    browser: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CASES / "port-changed")
    case = read_case(CASES / "port-changed")
    path = tmp_path / "plan.html"
    path.write_text(plan_page(case.observation.state, desired(case.scope, case.observation)))

    for number, text in enumerate(("- 8080 -> 80/tcp", "+ 8081 -> 80/tcp")):
        page = browser.open(path)
        assert page.evaluate(f"document.querySelector('svg a[href=\\'#c1p{number}\\']').textContent") == text
        page.click(f"svg a[href='#c1p{number}'] text")
        assert page.becomes_visible("section", ["c1"])
        row = page.evaluate("document.querySelector(':target').closest('tr').innerText")
        assert "publish 8081/tcp -> web:80, any source (host_port: 8080 -> 8081)" in row
        assert page.faults() == []


def test_light_and_dark_by_what_the_reader_prefers(browser: Chromium, plan_file: Path) -> None:
    grounds = [
        browser.open(plan_file, dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert grounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]


def test_a_graph_is_a_page_too(browser: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "macvlan")
    case = read_case(CASES / "macvlan")
    path = tmp_path / "graph.html"
    path.write_text(graph_page.render(topology(desired(case.scope, case.observation)), "netapply: home"))

    page = browser.open(path)
    page.screenshot(SCREENSHOTS / "graph.png")
    assert page.evaluate("document.querySelectorAll('svg .box').length") == 2
    assert page.evaluate("document.querySelectorAll('svg .added, svg .changed, svg .removed').length") == 0
    page.click("svg a[href='#c1'] .name")
    assert page.becomes_visible("section", ["c1"])
    assert page.faults() == []
    assert page.requests() == [path.as_uri()]


def hostile_state() -> State:
    name = f"shop/{HOSTILE}"
    return State(
        (
            Namespace("shop", name, "origin", source=Source(HOSTILE, 1, 1)),
            Bridge("shop", name, HOSTILE, "na-x", "02:00:00:00:00:01", "origin"),
            NetworkPolicy("shop", name, "na-x", ("10.0.0.0/24",)),
            Endpoint("shop", name, "eth0", "nv-x", HOSTILE, "na-x", "02:00:00:00:00:02", "origin"),
            PublishedPort("shop", name, "tcp", "192.0.2.1", 80, "10.0.0.2", 80, sources=(HOSTILE,)),
            Process("shop", name, (HOSTILE,), name, ((HOSTILE, "secret-value"),), working_dir=HOSTILE),
        )
    )


@pytest.mark.parametrize("policy", [True, False])
def test_nothing_in_a_manifest_is_markup(browser: Chromium, tmp_path: Path, *, policy: bool) -> None:
    """Also without the page's policy, which would keep what got through from running."""
    text = plan_page(State(), hostile_state(), Problem(HOSTILE))
    assert any(isinstance(each, Create) for each in diff(State(), hostile_state()))
    assert "secret-value" not in text
    if not policy:
        text = text.replace("Content-Security-Policy", "X-Nothing")
    path = tmp_path / "hostile.html"
    path.write_text(text)

    page = browser.open(path)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    # It is there to be read all the same.
    assert HOSTILE in page.evaluate("document.body.textContent")
    assert page.faults() == []
