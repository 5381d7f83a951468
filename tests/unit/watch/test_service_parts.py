"""Hints, the agenda, metrics places, and the word to the service manager."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.loop import Loop
from reconciler.errors import NetapplyError
from reconciler.observation import Observation
from reconciler.state import State
from reconciler.watch.agenda import NEVER, Agenda, Item
from reconciler.watch.hints import Hints
from reconciler.watch.lookout import Lookout
from reconciler.watch.metrics import Metrics, MetricsServer
from reconciler.watch.notify import Supervisor
from reconciler.watch.polls import Pace, legacy_tables
from reconciler.watch.records import Round
from reconciler.watch.rests import Rests


def test_many_places_become_one_look_at_everything() -> None:
    hints = Hints()
    assert not hints
    for number in range(500):
        hints.add(f"link changed in s/c{number}", sandbox=f"s/c{number}")
    assert hints.full
    assert len(hints.sandboxes) < 200
    assert len(hints.causes) == 5


def test_the_agenda_turns_when_the_next_item_is_due() -> None:
    turns: list[float] = []
    errors: list[BaseException] = []
    loop = Loop(errors.append)

    def turn() -> None:
        if agenda.take(Item.HINTS):
            turns.append(time.monotonic())
            loop.stop()
        agenda.turned()

    agenda = Agenda(loop, turn)
    agenda.set(Item.LOOK, NEVER)
    began = time.monotonic()
    agenda.set(Item.HINTS, began + 5)
    agenda.hasten(Item.HINTS, began + 0.02)
    agenda.hasten(Item.HINTS, began + 9)
    loop.run()
    loop.close()
    assert not errors
    assert 0.019 < turns[0] - began < 1


def test_a_poll_takes_no_more_than_its_share() -> None:
    pace = Pace(1.0, 0.001)
    pace.took(0.0001, 10.0)
    assert pace.due == 11.0
    pace.took(0.1, 10.0)
    assert pace.due == pytest.approx(110.0)


def test_a_slow_round_does_not_put_off_the_look_at_everything() -> None:
    logger: Any = None  # nothing is said
    rests = Rests(None, logger)
    # It waited for an agent that hung; next to nothing of that was work.
    assert rests.next_look(Round(seconds=6.0, looking=0.002), 10.0) == 70.0
    assert rests.next_look(Round(seconds=6.0, looking=0.07), 10.0) == pytest.approx(110.0)
    assert rests.next_look(Round(seconds=20.0, looking=20.0), 10.0) == 610.0


def test_what_a_look_waits_for_is_no_work() -> None:
    class Slow:
        def hear_firewall(self) -> None:
            pass

        def observe(self, *_arguments: object, **_more: object) -> Observation:
            time.sleep(0.2)
            return Observation(State())

    machine: Any = Slow()
    lookout = Lookout(machine)
    lookout.look(Hints(), None, (), was_well=False)
    assert 0.0 < lookout.seconds < 0.1


@pytest.mark.parametrize(
    "place",
    ["0.0.0.0:9000", "9000", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:²", "[::1]:0", "unix:/no/such/folder/x"],
)
def test_metrics_are_for_this_machine_only(place: str) -> None:
    loop = Loop(lambda _error: None)
    try:
        with pytest.raises(NetapplyError, match="--metrics"):
            MetricsServer(loop, place, Metrics(), None)  # type: ignore[arg-type]  # it never gets so far
    finally:
        loop.close()


def test_a_socket_of_metrics_has_one_owner(tmp_path: Path) -> None:
    loop = Loop(lambda _error: None)
    path = tmp_path / "metrics.sock"
    keeper: Any = None  # nobody asks
    # What a dead one left is in nobody's way.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    first = MetricsServer(loop, f"unix:{path}", Metrics(), keeper)
    with pytest.raises(NetapplyError, match="somebody else serves there"):
        MetricsServer(loop, f"unix:{path}", Metrics(), keeper)
    path.rename(tmp_path / "aside")
    second = MetricsServer(loop, f"unix:{path}", Metrics(), keeper)
    first.close()
    assert path.is_socket()
    second.close()
    assert not path.exists()
    loop.close()


def test_the_supervisor_hears_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "s"))
        ears.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "s"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        supervisor = Supervisor()
        assert time.monotonic() + 7 < supervisor.next_word() < time.monotonic() + 15
        for _ in range(3):
            supervisor.alive()
        assert ears.recv(100) == b"WATCHDOG=1"
        ears.settimeout(0.05)
        with pytest.raises(TimeoutError):
            ears.recv(100)


def test_a_host_without_legacy_tables_has_one_digest() -> None:
    assert legacy_tables() == legacy_tables()
