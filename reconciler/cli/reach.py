"""``netapply reach``: would this packet arrive, and by which rule, route or gap."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, session
from reconciler.cli.arguments import Arguments
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli.look import Look
    from reconciler.kernel.probe import Outcome
    from reconciler.manifest.model import Manifest
    from reconciler.observation import Facts, Observation
    from reconciler.reach.matrix import Port
    from reconciler.reach.verdict import Verdict
    from reconciler.state import State

_TARGET = re.compile(
    r"(?P<to>\[[^\]]+\]|[^:]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*):(?P<port>[0-9]{1,5})(/(?P<protocol>tcp|udp|sctp))?",
    re.ASCII,
)
_LAST_PORT = 65535
_REPAIR = "netapply up (or watch) repairs them"
_FORM = "write it as TO:PORT or TO:PORT/PROTOCOL: web:80, host:53/udp, [2001:db8::1]:443"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is asked about: a state, the facts around it, the manifests behind it, and the look at a host as it is."""

    state: State
    facts: Facts
    manifests: tuple[Manifest, ...] = ()
    look: Look | None = None


@click.command("reach")
@click.argument("origin", metavar="[FROM]", required=False)
@click.argument("target", metavar="[TO:PORT[/PROTOCOL]]", required=False)
@options.merged_manifests
@click.option("--live", is_flag=True, help="With -f: the host as it is, with the places in those files.")
@click.option("--planned", is_flag=True, help="With -f: this host as `up` would leave it.")
@click.option(
    "--matrix", "as_matrix", is_flag=True, help="Every container, the host and outside, for every known port."
)
@click.option("--probe", is_flag=True, help="Try it with real packets too, and say where they disagree.")
@options.json_format
@click.pass_obj
def command(
    settings: Settings,
    origin: str | None,
    target: str | None,
    arguments: Arguments,
    output_format: str,
    *,
    live: bool,
    planned: bool,
    as_matrix: bool,
    probe: bool,
) -> int:
    """Say whether a packet from FROM reaches TO, and which route, rule or missing piece decides.

    FROM and TO are a container, `host`, `outside` or an address. Of this host, or with -f of what that manifest makes
    on any host. Exit 0: it arrives, 2: it does not, 1: error.
    """
    _check(origin, target, arguments.merged, as_matrix=as_matrix, probe=probe, choices=(live, planned))
    from reconciler.reach.doubts import doubts  # noqa: PLC0415  # --help must not pay for it

    question = _question(target) if target else None
    manifests = arguments.stacks() if arguments.merged else ()
    seen = _look(settings, manifests, live=live, planned=planned)
    session.show_warnings(list(doubts(seen.state, seen.facts)))
    if question is None or origin is None:
        return _show_matrix(seen, output_format)
    return _answer(seen, origin, question, output_format, probe=probe)


def _check(
    origin: str | None,
    target: str | None,
    merged: Sequence[str],
    *,
    as_matrix: bool,
    probe: bool,
    choices: tuple[bool, bool],
) -> None:
    live, _ = choices
    if as_matrix == bool(origin) or bool(origin) != bool(target):
        raise click.UsageError("say FROM and TO:PORT, or --matrix")
    if (any(choices) and not merged) or all(choices):
        raise click.UsageError("one of --live and --planned goes with -f FILE")
    if probe and (as_matrix or (merged and not live)):
        raise click.UsageError("--probe tries one question on the host as it is: with -f FILE add --live")


def _look(settings: Settings, manifests: tuple[Manifest, ...], *, live: bool, planned: bool) -> _Seen:
    if manifests and not (live or planned):
        observation = _assumed(manifests)
        return _Seen(_wanted(manifests, observation), observation.facts, manifests)
    from reconciler.cli.look import look  # noqa: PLC0415  # a question about a manifest needs no host

    found = look(settings)
    observation = found.observation
    if not manifests:
        return _Seen(observation.state, observation.facts, look=found)
    wanted = _wanted(manifests, observation)
    state = wanted if planned else _with_places(observation.state, wanted)
    return _Seen(state, observation.facts, manifests, None if planned else found)


def _assumed(manifests: Sequence[Manifest]) -> Observation:
    """A host on which nothing is, and which has the interfaces that the manifests ask for."""
    from reconciler.desired.assumed import assumed_facts  # noqa: PLC0415  # --help must not pay for it
    from reconciler.observation import Observation  # noqa: PLC0415  # as above
    from reconciler.state import State  # noqa: PLC0415  # as above

    return Observation(State(), assumed_facts(manifests))


def _wanted(manifests: Sequence[Manifest], observation: Observation) -> State:
    from reconciler.desired.build import desired  # noqa: PLC0415  # as above

    session.show_warnings([warning for manifest in manifests for warning in manifest.warnings])
    return desired(session.scope_of(manifests), observation)


def _with_places(state: State, wanted: State) -> State:
    """The observed objects, each with the manifest line that asks for the same one."""
    from reconciler.state import State  # noqa: PLC0415  # as above

    return State(_with_place(resource, wanted.get(key)) for key, resource in state.items())


def _with_place(resource: Any, other: Any) -> Any:
    has_source = other is not None and any(field.name == "source" for field in fields(resource))
    return replace(resource, source=other.source) if has_source else resource


def _question(text: str) -> tuple[str, int, str]:
    """Target, port and protocol. Raises NetapplyError."""
    match = _TARGET.fullmatch(text)
    if match is None or not 0 < int(match["port"]) <= _LAST_PORT:
        raise NetapplyError.of(f"{text!r} names no port that can be asked for", hint=_FORM)
    return match["to"], int(match["port"]), match["protocol"] or "tcp"


def _answer(seen: _Seen, origin: str, question: tuple[str, int, str], output_format: str, *, probe: bool) -> int:
    from reconciler.reach.reaching import Reacher  # noqa: PLC0415  # --help must not pay for it
    from reconciler.reach.text import verdict_text  # noqa: PLC0415  # as above

    target, port, protocol = question
    reacher = Reacher(seen.state, seen.facts)
    verdict, outcome = reacher.reach(origin, *question), None
    holds = reacher.holds(verdict, origin, *question)
    if seen.look:
        from reconciler.cli.reach_live import Live  # noqa: PLC0415  # a question about a manifest needs no host

        live = Live(seen.look, reacher)
        session.show_warnings(list(live.warnings(verdict, "" if probe else "--probe tries it")))
        outcome = live.tried(origin, target, verdict) if probe else None
    if not holds:
        verdict = _tried(outcome)
    if output_format == "json":
        from reconciler.cli.look import print_json  # noqa: PLC0415  # as above

        tried = {"probe": {"arrives": outcome.arrives, "how": outcome.how}} if outcome else {}
        print_json({**verdict.record(), **tried})
    else:
        click.echo(verdict_text(verdict, origin, f"{target}:{port}/{protocol}"), nl=False)
        if outcome:
            click.echo(f"probe: {outcome.how}")
    if outcome and outcome.arrives not in {None, verdict.reachable}:
        hint = "something that netapply does not know of decides: rules of other programs, or routes of the host's own"
        raise NetapplyError.of(f"the probe disagrees: {outcome.how}", hint=hint)
    return 0 if verdict.reachable else 2


def _tried(outcome: Outcome | None) -> Verdict:
    """What the packets say where nothing else is certain. Raises NetapplyError where they say nothing."""
    from reconciler.reach.verdict import Verdict  # noqa: PLC0415  # as above

    if outcome is not None and outcome.arrives is not None:
        return Verdict(reachable=outcome.arrives, path=())
    message = "the answer depends on netapply's firewall rules, which somebody changed"
    if outcome is not None:
        raise NetapplyError.of(f"{message}, and the probe cannot tell: {outcome.how}", hint=_REPAIR)
    raise NetapplyError.of(message, hint=f"{_REPAIR}; --probe tries it now")


def _show_matrix(seen: _Seen, output_format: str) -> int:
    from reconciler.reach.matrix import matrix  # noqa: PLC0415  # --help must not pay for it
    from reconciler.reach.text import matrix_text  # noqa: PLC0415  # as above

    found = matrix(seen.state, seen.facts, _declared(seen.manifests))
    if output_format == "json":
        from reconciler.cli.look import print_json  # noqa: PLC0415  # as above

        print_json([{**cell.record(), "reachable": reachable} for cell, reachable in found.items()])
    else:
        click.echo(matrix_text(found), nl=False)
    return 0


def _declared(manifests: Sequence[Manifest]) -> dict[str, list[Port]]:
    """What containers expose without publishing it; the host does not know of it."""
    return {
        f"{manifest.stack}/{container.name}": [
            *(_exposed(entry) for entry in container.expose),
            *((mapping.target, mapping.protocol) for mapping in container.ports),
        ]
        for manifest in manifests
        for container in manifest.containers
    }


def _exposed(entry: str) -> Port:
    """``80``, ``80/udp``, ``8000-8010``: the first of a range stands for all of it."""
    span, _, protocol = entry.partition("/")
    return int(span.partition("-")[0]), protocol or "tcp"
