"""What a manifest can say of networking and nothing makes yet: refused with its place, never ignored in silence."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import Problem, Source
from reconciler.manifest.model import Container


def unsupported(container: Container) -> Iterator[Problem]:
    """A problem for each key of the container that would have no effect."""
    for key, source in _used(container):
        yield Problem(f"{key} of container {container.name} is not supported yet", source or container.source)


def _used(container: Container) -> Iterator[tuple[str, Source | None]]:
    relations = (
        ("links", container.links),
        ("external_links", container.external_links),
        ("extra_hosts", container.extra_hosts),
    )
    for key, entries in relations:
        if entries:
            yield key, entries[0].source
    dns = container.dns
    for key, texts in (("dns", dns.servers), ("dns_search", dns.search), ("dns_opt", dns.options)):
        if texts:
            yield key, dns.source
    for attachment in container.attachments:
        if attachment.link_local_ips:
            yield "link_local_ips", attachment.source
