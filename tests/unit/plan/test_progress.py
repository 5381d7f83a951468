"""What `up` says: the entries of the plan, each once, when all of it is done."""

from __future__ import annotations

from reconciler.firewall.policy import PublishedPort
from reconciler.plan.change import Create
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.plan.progress import Progress
from reconciler.resources.address import Address
from reconciler.resources.agent import HeldPorts
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace

WEB = "shop/web"
ENDPOINT = Create(Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", "02:00:00:00:00:01", "o"))
ADDRESS = Create(Address("shop", WEB, WEB, "eth0", "172.18.0.2/16"))
PORT = Create(PublishedPort("shop", WEB, "tcp", "0.0.0.0", 8080, "172.18.0.2", 80))
HELD = Create(HeldPorts("shop", (("tcp", "0.0.0.0", 8080),)))


def test_an_entry_is_said_when_the_last_of_it_is_done() -> None:
    progress = Progress(Plan(tuple(Step(Stage.BUILD, each) for each in (ENDPOINT, ADDRESS, HELD, PORT))))
    assert [progress.done(each) for each in (ADDRESS, ENDPOINT, HELD, PORT)] == [
        None,
        "+ shop/web: eth0 on network shop_front, 172.18.0.2/16",
        None,
        "+ shop/web: publish 8080/tcp -> web:80, any source",
    ]
    assert progress.summary() == "Done: 2 added, 0 changed, 0 removed"


def test_what_nobody_planned_is_said_as_it_is() -> None:
    assert Progress(Plan(())).done(Create(Namespace("shop", WEB, "o"))) == "+ shop/web: network namespace"
