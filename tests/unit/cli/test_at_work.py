"""Ctrl-C in the middle of a run, and a reader that goes away: what stands on the host must not depend on it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.cli.interruption import deferred
from reconciler.cli.report import Report
from reconciler.errors import NetapplyError
from reconciler.plan.change import Create, Delete
from reconciler.plan.plan import Plan, Stage, Step
from reconciler.reconcile import Outcome
from reconciler.resources.address import Address
from reconciler.resources.endpoint import Endpoint
from reconciler.resources.namespace import Namespace

WEB = "shop/web"
MADE = Step(Stage.BUILD, Create(Namespace("shop", WEB, "o")))
REMOVED = Step(Stage.REMOVE, Delete(Namespace("shop", "shop/old", "o"), "no longer wanted"))
PLAN = Plan((MADE, REMOVED))
ENDPOINT = Endpoint("shop", WEB, "eth0", "nv-web", "shop_front", "na-front", "02:00:00:00:00:01", "o")


@pytest.fixture(autouse=True)
def signals_as_on_a_terminal() -> Iterator[None]:
    """A shell ignores SIGINT for what it starts in the background, and these tests may be just that."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_between_two_steps(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with deferred(PLAN) as interrupted:
        interrupted.check(MADE)
        os.kill(os.getpid(), number)
        with pytest.raises(NetapplyError, match="interrupted"):
            interrupted.check(MADE)
        # Past the point of no return all is done; and so is what settles the host after a failure.
        interrupted.check(REMOVED)
        interrupted.check(Step(Stage.BUILD, MADE.change))
    assert signal.getsignal(number) is before
    assert "interrupted: undoing" in capfd.readouterr().err


def test_the_second_signal_ends_it_anywhere(capfd: pytest.CaptureFixture[str]) -> None:
    with deferred(PLAN):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err.count("interrupted") == 1


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred(PLAN) as interrupted:
            os.kill(os.getpid(), signal.SIGHUP)
            interrupted.check(MADE)
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def output_to(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(descriptor, "w", buffering=1) as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        yield


def test_a_reader_that_has_seen_enough_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with output_to(writer, monkeypatch):
        report = Report(PLAN)
        report.done(MADE)
        report.done(REMOVED)
        report.ended(Outcome(PLAN.steps))
        report.close()


def test_a_full_disk_is_told_when_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    with output_to(os.open("/dev/full", os.O_WRONLY), monkeypatch):
        report = Report(PLAN)
        report.done(MADE)
        report.done(REMOVED)
        with pytest.raises(NetapplyError, match="standard output cannot be written: No space left on device"):
            report.close()


def test_what_was_undone_is_said_in_the_plans_words_and_before_what_settled_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address("shop", WEB, WEB, "eth0", "172.18.0.2/16")
    steps = (Step(Stage.BUILD, Create(ENDPOINT)), Step(Stage.BUILD, Create(address)))
    undone = tuple(Step(Stage.BUILD, Delete(each, "rolled back")) for each in (address, ENDPOINT))
    out = tmp_path / "out"
    with output_to(os.open(out, os.O_WRONLY | os.O_CREAT), monkeypatch):
        report = Report(Plan(steps))
        report.done(REMOVED)
        report.ended(Outcome((), undone, NetapplyError.of("no").problems))
        report.close()
    assert out.read_text().splitlines() == [
        "undone: - shop/web: eth0 on network shop_front, 172.18.0.2/16",
        "- shop/old: network namespace",
    ]
