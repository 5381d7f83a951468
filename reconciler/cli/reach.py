"""``netapply reach``: would this packet arrive, and by which rule, route or gap."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options, session
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.manifest.model import Manifest
    from reconciler.observation import Facts, Observation
    from reconciler.reach.matrix import Matrix, Port
    from reconciler.reach.verdict import Verdict
    from reconciler.state import State

_TARGET = re.compile(
    r"(?P<to>\[[^\]]+\]|[^:]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*):(?P<port>[0-9]{1,5})(/(?P<protocol>tcp|udp|sctp))?",
    re.ASCII,
)
_LAST_PORT = 65535
_FORM = "write it as TO:PORT or TO:PORT/PROTOCOL: web:80, host:53/udp, [2001:db8::1]:443"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is asked about: a state, the facts around it, and the manifests that it comes from."""

    state: State
    facts: Facts
    manifests: tuple[Manifest, ...]


@click.command("reach")
@click.argument("origin", metavar="[FROM]", required=False)
@click.argument("target", metavar="[TO:PORT[/PROTOCOL]]", required=False)
@options.merged
@options.stack_name
@options.profiles
@options.env_files
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
    merged: tuple[str, ...],
    stack_name: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
    output_format: str,
    *,
    live: bool,
    planned: bool,
    as_matrix: bool,
    probe: bool,
) -> int:
    """Say whether a packet from FROM reaches TO, and which route, rule or missing piece decides.

    FROM and TO are a container, `host`, `outside` or an address. Exit 0: it arrives, 2: it does not, 1: error.
    """
    if as_matrix == bool(origin or target) or bool(origin) != bool(target):
        raise click.UsageError("say FROM and TO:PORT, or --matrix")
    if ((live or planned) and not merged) or (live and planned):
        raise click.UsageError("--live or --planned goes with -f FILE")
    if probe and (as_matrix or (merged and not live)):
        raise click.UsageError("--probe tries one question on the live host")
    manifests = session.manifests_of((), merged, stack_name, profiles, env_files) if merged else ()
    seen = _look(settings, manifests, live=live, planned=planned)
    if as_matrix:
        _show_matrix(seen, output_format)
        return 0
    assert origin and target  # noqa: S101, PT018  # for the type checker: checked above
    return _answer(settings, seen, (origin, target), output_format, probe=probe)


def _look(settings: Settings, manifests: tuple[Manifest, ...], *, live: bool, planned: bool) -> _Seen:
    if manifests and not (live or planned):
        observation = _assumed(manifests)
        return _Seen(_wanted(manifests, observation), observation.facts, manifests)
    from reconciler.cli.look import look  # noqa: PLC0415  # a question about a manifest needs no host

    observation = look(settings).observation
    if not manifests:
        return _Seen(observation.state, observation.facts, ())
    wanted = _wanted(manifests, observation)
    state = wanted if planned else _with_places(observation.state, wanted)
    return _Seen(state, observation.facts, manifests)


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


def _answer(settings: Settings, seen: _Seen, asked: tuple[str, str], output_format: str, *, probe: bool) -> int:
    from reconciler.reach.reaching import reach  # noqa: PLC0415  # --help must not pay for it

    origin = asked[0]
    target, port, protocol = _question(asked[1])
    verdict = reach(seen.state, seen.facts, origin, target, port, protocol)
    del settings, probe
    if output_format == "json":
        from reconciler.cli.look import print_json  # noqa: PLC0415  # as above

        print_json(verdict.record())
    else:
        click.echo(_text(verdict, origin, asked[1]))
    return 0 if verdict.reachable else 2


def _text(verdict: Verdict, origin: str, target: str) -> str:
    says = "reaches" if verdict.reachable else "does not reach"
    lines = [f"{origin} {says} {target}"]
    for number, hop in enumerate(verdict.path, 1):
        place = f"  ({hop.source})" if hop.source else ""
        sign = "no " if hop is verdict.path[-1] and not verdict.reachable else "   "
        lines.append(f"{sign}{number}. {hop}{place}")
    return "\n".join(lines)


def _show_matrix(seen: _Seen, output_format: str) -> None:
    from reconciler.reach.matrix import matrix  # noqa: PLC0415  # as above

    found = matrix(seen.state, seen.facts, _declared(seen.manifests))
    if output_format == "json":
        from reconciler.cli.look import print_json  # noqa: PLC0415  # as above

        print_json([{**cell.record(), "reachable": reachable} for cell, reachable in found.items()])
        return
    click.echo(_matrix_text(found), nl=False)


def _declared(manifests: Sequence[Manifest]) -> dict[str, list[Port]]:
    """What containers expose without publishing it; the host does not know of it."""
    found: dict[str, list[Port]] = {}
    for manifest in manifests:
        for container in manifest.containers:
            ports = [port for entry in container.expose for port in _exposed(entry)]
            ports += [(mapping.target, mapping.protocol) for mapping in container.ports]
            found[f"{manifest.stack}/{container.name}"] = ports
    return found


def _exposed(entry: str) -> list[Port]:
    """``80``, ``80/udp``, ``8000-8010``: the first of a range stands for all of it."""
    span, _, protocol = entry.partition("/")
    return [(int(span.partition("-")[0]), protocol or "tcp")]


def _matrix_text(found: Matrix) -> str:
    rows: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for cell, reachable in found.items():
        yes, no = rows.setdefault((cell.target, cell.port_text), ([], []))
        (yes if reachable else no).append(cell.origin)
    lines = []
    for (target, port), (yes, no) in rows.items():
        lines.append(f"{target}:{port}")
        lines.append(f"    from  {', '.join(yes) or '-'}")
        lines.append(f"    not   {', '.join(no) or '-'}")
    return "".join(f"{line}\n" for line in lines)
