"""Actions that no tool of the system has a word for: what netapply itself does, as remarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from reconciler import actions as a
from reconciler.plan.commands.place import Place
from reconciler.plan.commands.words import line, remark
from reconciler.resources.agent import pin_text


def own_doing(action: a.Action, place: Place) -> Iterator[str]:
    """A remark that says it; of a command also what comes near it."""
    say = SAYINGS[type(action)]
    yield remark(f"only netapply does this: {say(action)}")
    if isinstance(action, a.StartProcess):
        yield remark(f"without an OCI runtime it is nearly: {line(*place.inside(action.namespace, *action.command))}")
    if isinstance(action, a.AnnounceAddress):
        arping = ("arping", "-c", "1", "-U", "-I", action.interface, action.address)
        near = ("ndptool", "-i", action.interface, "-T", action.address, "send", "-t", "na")
        yield remark(
            f"with other tools: {line(*place.inside(action.namespace, *(near if ':' in action.address else arping)))}"
        )


def _started(action: a.StartProcess) -> str:
    names = ", ".join(sorted(name for name, _ in (*action.environment, *action.link_environment)))
    return f"an OCI runtime runs the command of {action.container}" + (
        f", with {names} in its environment" * bool(names)
    )


def _held(action: a.HoldPorts) -> str:
    ports = ", ".join(pin_text(*pin) for pin in action.pins) or "none"
    return f"the agent holds the host ports of stack {action.stack}: {ports}"


SAYINGS: dict[type, Callable[[Any], str]] = {
    a.StartProcess: _started,
    a.StopProcess: lambda action: f"the OCI runtime ends the command of {action.container}",
    a.StartAgent: lambda _: "start the agent of this host",
    a.StopAgent: lambda _: "stop the agent of this host",
    a.HoldPorts: _held,
    a.ServeNames: lambda action: f"the agent answers names at 127.0.0.11 in {action.container}",
    a.ForgetNames: lambda action: f"the agent closes its sockets in {action.container}, which would keep it alive",
    a.AwaitEnd: lambda action: f"the agent removes {action.container} when its command has ended",
    a.ForgetEnd: lambda action: f"the agent no longer waits for the end of {action.container}",
    a.RecordEndedJob: lambda action: f"write down that {action.container} has run",
    a.ForgetEndedJob: lambda action: f"forget that {action.container} has run",
    a.ClaimAddress: lambda action: f"ask the neighbours on {action.interface} whether one of them has {action.address}",
    a.AnnounceAddress: lambda action: f"tell the neighbours on {action.interface} where {action.address} is now",
    a.AnnounceLink: lambda action: f"tell the neighbours on {action.interface} the MAC that its addresses have now",
}
"""Every action that is none of a tool's, by its class."""
