"""The concern ``names``: which resolvers stand after each change of a stack's data. Sockets on the loopback, no sandbox."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.dns import forward, inside
from reconciler.agent.dns.inside import Opened
from reconciler.agent.dns.names import Resolvers
from reconciler.agent.loop import Loop
from reconciler.agent.names import Names

CALLS: list[tuple[str, str]] = []


def unexpected(error: BaseException) -> None:
    raise error


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(unexpected)
    yield made
    made.close()


@pytest.fixture
def resolvers(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolvers]:
    """Instead of entering a sandbox, sockets are opened here; a plain file stands for a pinned namespace."""
    CALLS.clear()
    monkeypatch.chdir(tmp_path)

    def open_sockets(path: str, container: str, host_id: str) -> Opened:
        CALLS.append(("open", container))
        assert host_id == "77"
        inode = Path(path).stat().st_ino
        datagrams, connections = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        for each in (datagrams, connections):
            each.bind(("127.0.0.1", 0))
            each.settimeout(0)
        connections.listen()
        return Opened(datagrams, connections, datagrams.getsockname()[1], inode, 1)

    def stand_table(opened: Opened) -> int:
        CALLS.append(("stand", str(opened.port)))
        return opened.generation + 1

    monkeypatch.setattr(inside, "open_sockets", open_sockets)
    monkeypatch.setattr(inside, "stand_table", stand_table)
    monkeypatch.setattr(inside, "clear_table", lambda opened: CALLS.append(("clear", str(opened.port))))
    made = Resolvers(loop, "/run/netapply/77")
    yield made
    made.close()


def entry(path: str = "a", **more: Any) -> dict[str, Any]:
    Path(path).touch()
    return {"namespace": path, "registrations": [["net", ["web"], ["10.0.0.2"]]], "links": [], "upstream": [], **more}


def test_sockets_are_opened_kept_and_closed(resolvers: Resolvers) -> None:
    assert resolvers.apply("shop", {"shop/a": entry()}, frozenset()) == []
    (where,) = resolvers.status().values()
    changed = entry(registrations=[["net", ["web", "www"], ["10.0.0.2"]]])
    assert resolvers.apply("shop", {"shop/a": changed, "shop/b": entry("b")}, frozenset()) == []
    assert resolvers.status()["shop/a"] == where
    assert CALLS == [("open", "shop/a"), ("open", "shop/b")]
    listener = resolvers._listeners["shop/a"]
    assert resolvers.apply("shop", None, frozenset()) == []
    assert resolvers.status() == {}
    assert listener.opened.datagrams.fileno() == listener.opened.connections.fileno() == -1
    assert [call for call, _ in CALLS[2:]] == ["clear", "clear"]


def test_with_the_sockets_go_questions_on_their_way_and_connections(
    resolvers: Resolvers, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolvers.apply("shop", {"shop/a": entry(upstream=[["127.0.0.1", False]])}, frozenset())
    listener = resolvers._listeners["shop/a"]
    made: list[socket.socket] = []

    def make_socket(neighbour: socket.socket | None, family: int, kind: int) -> socket.socket:
        assert neighbour is listener.opened.datagrams
        made.append(socket.socket(family, kind))
        return made[0]

    monkeypatch.setattr(inside, "make_socket", make_socket)
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
        socket.create_connection(listener.opened.connections.getsockname()) as client,
    ):
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(forward, "PORT", silent.getsockname()[1])
        asker.sendto(question, listener.opened.datagrams.getsockname())
        listener._on_datagrams()
        listener._on_connection()
        assert made[0].fileno() >= 0
        resolvers.apply("shop", None, frozenset())
        assert made[0].fileno() == -1
        client.settimeout(2)
        assert client.recv(1) == b""


def test_only_doubted_ones_are_looked_at_again(resolvers: Resolvers) -> None:
    data = {"shop/a": entry("a"), "shop/b": entry("b")}
    resolvers.apply("shop", data, frozenset())
    resolvers.apply("shop", data, frozenset({"shop/b"}))
    assert [call for call, _ in CALLS] == ["open", "open", "stand"]
    assert [rules for _, _, rules in resolvers.status().values()] == [1, 2]


def test_a_sandbox_made_anew_gets_sockets_of_its_own(resolvers: Resolvers) -> None:
    data = {"shop/a": entry()}
    resolvers.apply("shop", data, frozenset())
    old = resolvers._listeners["shop/a"].opened
    Path("b").touch()
    Path("b").rename("a")
    resolvers.apply("shop", data, frozenset({"shop/a"}))
    assert old.datagrams.fileno() == -1
    assert resolvers.status()["shop/a"][0] == Path("a").stat().st_ino != old.inode


def test_one_that_cannot_be_opened_is_said_and_keeps_nobody(resolvers: Resolvers) -> None:
    data = {"shop/gone": {**entry(), "namespace": "nowhere"}, "shop/a": entry()}
    (failure,) = resolvers.apply("shop", data, frozenset())
    assert failure == {"container": "shop/gone", "message": "No such file or directory"}
    assert list(resolvers.status()) == ["shop/a"]
    Path("nowhere").touch()
    assert resolvers.apply("shop", data, frozenset()) == []


def test_names_of_all_stacks_on_a_network_are_answered_at_once(resolvers: Resolvers) -> None:
    resolvers.apply("shop", {"shop/a": entry()}, frozenset())
    view = resolvers._listeners["shop/a"]._current()
    assert view.find(b"reader", 1) is None
    resolvers.apply("blog", {"blog/b": entry("b", registrations=[["net", ["reader"], ["10.0.0.3"]]])}, frozenset())
    assert resolvers._listeners["shop/a"]._current().find(b"reader", 1)
    assert resolvers._listeners["blog/b"]._current().find(b"web", 1)
    resolvers.apply("blog", None, frozenset())
    assert resolvers._listeners["shop/a"]._current().find(b"reader", 1) is None


@pytest.mark.parametrize(
    "section",
    [
        "names",
        {"shop/a": {}},
        {"shop/a": None},
        {"shop/a": {"namespace": "a", "registrations": [["net"]], "links": [], "upstream": []}},
        {"shop/a": {"namespace": "a", "registrations": [["net", [], ["here"]]], "links": [], "upstream": []}},
        {"shop/a": {"namespace": "a", "registrations": [], "links": [["x", ["there"]]], "upstream": []}},
        {"shop/a": {"namespace": "a", "registrations": [], "links": [], "upstream": [["a name", False]]}},
    ],
)
def test_data_of_another_form_change_nothing(resolvers: Resolvers, section: Any) -> None:
    resolvers.apply("shop", {"shop/a": entry()}, frozenset())
    before = resolvers.status()
    with pytest.raises(ValueError, match="not data of names"):
        resolvers.apply("shop", section, frozenset())
    assert resolvers.status() == before


def test_an_agent_without_names_never_loads_the_resolver(loop: Loop) -> None:
    names = Names(loop, "/run/netapply/77")
    assert names.apply("shop", None) == []
    assert names.status() == {}
    assert names._resolvers is None
    names.close()
