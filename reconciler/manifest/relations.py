"""What a container is told of other hosts: links, lines of the hosts file, its resolver's settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.manifest.addresses import parse_address, parse_host_name
from reconciler.manifest.faults import FormError
from reconciler.manifest.model import HOST_GATEWAY, Dns, ExtraHost, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reconciler.errors import Source
    from reconciler.manifest.context import Context
    from reconciler.manifest.models import ContainerPart

_NO_SEARCH = "."
_OF_LOOPBACK = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})
_OPTION = re.compile(r"[a-z0-9][a-z0-9-]*(?::[0-9]{1,5})?")
_OPTIONS = frozenset(
    """attempts debug edns0 inet6 ndots no-aaaa no-check-names no-ip6-dotint no-reload no-tld-query rotate
    single-request single-request-reopen timeout trust-ad use-vc""".split()  # noqa: SIM905  # one a line is 15 lines
)
"""The options of resolv.conf(5); others are passed on with a warning, for other C libraries have their own."""


def convert_links(texts: Sequence[str] | None, name: str, key: str, context: Context) -> tuple[Link, ...]:
    """The entries of ``links`` or ``external_links``: ``NAME`` or ``NAME:ALIAS``; equal ones count once."""
    found: dict[Link, None] = {}
    for index, text in enumerate(texts or ()):
        source = context.at("containers", name, key, index)
        target, colon, alias = text.partition(":")
        if not target or (colon and not alias) or ":" in alias:
            context.faults.add(f"'{text}' is not a link", source, "write NAME, or NAME:ALIAS")
            continue
        stack, slash, own = target.rpartition("/")
        if slash and key == "links":
            message = f"'{target}' names a container of another stack"
            context.faults.add(message, source, "such ones stand under external_links")
            continue
        for part in (stack, own) if slash else (own,):
            context.check_name("container", part, source)
        if alias:
            context.check_name("container", alias, source)
        if (alias or own).lower() in _OF_LOOPBACK:
            message = f"'{alias or own}' is every container's name for itself"
            context.faults.add(message, source, "give the link another alias: NAME:ALIAS")
        count = context.replicas.get(target, 1) if key == "links" else 1
        if count > 1 and target == name:
            context.faults.add(f"container '{name}' links to itself", source, "remove the link")
            continue
        # A name that stands for several leads to all of them.
        for container in (f"{target}-{number + 1}" for number in range(count)) if count > 1 else (target,):
            found.setdefault(Link(container, alias or own, source))
    return tuple(found)


def convert_extra_hosts(
    value: Mapping[str, str | list[str]] | list[str] | None, name: str, context: Context
) -> tuple[ExtraHost, ...]:
    """The lines that are added to the hosts file; a host may have several addresses, equal lines count once."""
    found: dict[ExtraHost, None] = {}
    for given_host, text, path in _host_entries(value):
        source = context.at("containers", name, "extra_hosts", *path)
        try:
            host, texts = parse_extra_host(text) if given_host is None else (given_host, text.split(","))
            parse_host_name(host)
            for each in texts:
                found.setdefault(ExtraHost(host, parse_host_address(each), source))
        except FormError as error:
            context.faults.add_form(error, source)
    return tuple(found)


def parse_extra_host(text: str) -> tuple[str, list[str]]:
    """The host and the texts of its addresses in ``HOST=ADDRESS[,ADDRESS…]`` or, the older way, with a colon.

    The first ``=`` divides, where there is none the first ``:`` (so ``h:::1`` is host h at ``::1``).

    Raises:
        FormError: a part is missing.
    """
    host, separator, addresses = text.partition("=" if "=" in text else ":")
    if not separator or not host or not addresses:
        message = f"'{text}' has no {'address' if host else 'host'}"
        raise FormError(message, "write HOST=ADDRESS")
    return host, addresses.split(",")


def parse_host_address(text: str) -> str:
    """The address in canonical form, or `HOST_GATEWAY`; brackets around IPv6 are taken off.

    Raises:
        FormError: it is neither.
    """
    if text.strip() == HOST_GATEWAY:
        return HOST_GATEWAY
    try:
        return str(parse_address(text.strip()))
    except FormError as error:
        raise FormError(str(error), error.hint, near=(text, [HOST_GATEWAY])) from None


def _host_entries(
    value: Mapping[str, str | list[str]] | list[str] | None,
) -> Iterator[tuple[str | None, str, tuple[str | int, ...]]]:
    """Host (None in the list form, where the text holds it), text and end of the path of each entry."""
    if isinstance(value, list):
        for index, text in enumerate(value):
            yield None, text, (index,)
        return
    for host, given in (value or {}).items():
        if isinstance(given, list):
            yield from ((host, text, (host, index)) for index, text in enumerate(given))
        else:
            yield host, given, (host,)


def convert_dns(name: str, part: ContainerPart, context: Context) -> Dns:
    """The resolver's settings; texts that became empty by interpolation count as not given."""

    def taken(key: str, parse: Callable[[str], str], value: str | list[str] | None) -> tuple[str, ...]:
        texts = [value] if isinstance(value, str) else value or ()
        path = ("containers", name, key)
        found = (
            context.take(parse, text, *path, *((index,) if isinstance(value, list) else ()))
            for index, text in enumerate(texts)
        )
        return tuple(dict.fromkeys(each for each in found if each))

    def option(text: str) -> str:
        def warn(message: str, word: str) -> None:
            context.faults.warn(message, place("dns_opt"), context.faults.nearest(word, _OPTIONS))

        return _parse_option(text, warn)

    def place(key: str) -> Source:
        return context.key_at("containers", name, key)

    given = [key for key in ("dns", "dns_search", "dns_opt") if getattr(part, key)]
    if not given:
        return Dns()
    return Dns(
        servers=taken("dns", lambda text: str(parse_address(text)), part.dns),
        search=taken("dns_search", _parse_search, part.dns_search),
        options=taken("dns_opt", option, part.dns_opt),
        source=place(given[0]),
    )


def _parse_search(text: str) -> str:
    return text if text == _NO_SEARCH else parse_host_name(text)


def _parse_option(text: str, warn: Callable[[str, str], None]) -> str:
    if not _OPTION.fullmatch(text):
        message = f"'{text}' is not an option of the resolver"
        raise FormError(message, "write it as in resolv.conf: ndots:2")
    word = text.partition(":")[0]
    if word not in _OPTIONS:
        warn(f"'{word}' is not an option that resolv.conf(5) knows", word)
    return text
