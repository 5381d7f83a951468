"""``open:``: what the host's own firewall lets in to containers in host mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.desired.known import Known
from reconciler.desired.modes import HOST_NAMESPACE
from reconciler.desired.wired import Wired
from reconciler.errors import Problem
from reconciler.firewall.opening import Opening
from reconciler.firewall.spans import OpenSpan, disjoint
from reconciler.manifest.model import PortSpan
from reconciler.state import Resource


def opening_resources(wired: Sequence[Wired], known: Known, problems: list[Problem]) -> Iterable[Resource]:
    """The openings of all containers of the run; one that is not in the host's namespace has nothing to open."""
    del known
    for each in wired:
        if each.namespace == HOST_NAMESPACE:
            yield from _of_container(each)
        elif each.spec.open:
            message = f"container {each.spec.name} opens ports of the host, but is not in the host's network namespace"
            hint = "write ports: to publish them, or network_mode: host"
            problems.append(Problem(message, each.spec.open[0].source or each.spec.source, hint))


def _of_container(wired: Wired) -> Iterator[Resource]:
    spans = [OpenSpan(span.protocol, span.first, span.last, span.sources) for span in wired.spec.open]
    for span in disjoint(spans):
        declared = next(each for each in wired.spec.open if _covers(each, span))
        source = declared.source or wired.spec.source
        yield Opening(wired.stack, wired.identity, span.protocol, span.first, span.last, span.sources, source=source)


def _covers(declared: PortSpan, span: OpenSpan) -> bool:
    return declared.protocol == span.protocol and declared.first <= span.first <= declared.last
