"""The table of ``make bench``, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contestants import STEPS, Batches, Floor, Netapply, Sample

Results = dict[tuple[str, str], Sample]
"""By contestant and step."""

TITLES = {
    "up": "up from nothing",
    "no-op up": "up, nothing to do",
    "no-op plan": "plan, nothing to do",
    "container": "one container added",
    "port": "one port added",
    "down": "down",
}

PEERS = """\
Peers, for 100 containers on one bridge with one published port each. **Measured elsewhere, earlier** (Debian 12,
2 cores, shared; medians), and most of them also start a process for each container, which the sandboxes above do not:

| | up | up, nothing to do | one container added | down |
| --- | ---: | ---: | ---: | ---: |
| docker compose 2.26 | 15.4 s | 0.15 s | 0.42 s | 7.6 s |
| podman 5.4, a loop of `podman run` | 11.2 s | - | 0.15 s | 5.5 s |
| podman-compose, podman 5.4 | 18.5 s | 3.90 s | 3.71 s | 15.9 s |
| network only: CNI (bridge, portmap, firewall) | 9.6 s | - | 0.12 s | 21.3 s |
| network only: netavark 1.14 (nftables) | 4.1 s | - | 0.05 s | 5.4 s |
| mininet 2.3, without ports | 1.6 s | - | - | 2.3 s |
"""

LARGEST = 1000
"""The aims are stated for this many containers."""


def render(results: dict[int, Results]) -> str:
    """One table for all sizes, the aims, and the peers."""
    parts = ["\n".join(_table(results))]
    if LARGEST in results:
        parts.append("\n".join(_aims(results)))
    return "\n\n".join([*parts, PEERS])


def _table(results: dict[int, Results]) -> Iterator[str]:
    yield "| containers | | " + " | ".join(TITLES[step] for step in STEPS) + " | peak memory |"
    yield "| ---: | --- | " + " | ".join("---:" for _ in STEPS) + " | ---: |"
    for size, samples in results.items():
        for name in dict.fromkeys(name for name, _ in samples):
            cells = [_time(samples.get((name, step))) for step in STEPS]
            yield f"| {size} | {name} | {' | '.join(cells)} | {_memory(samples, name)} |"
        ratios = [_times(_ratio(samples, step)) for step in STEPS]
        yield f"| {size} | *{Netapply.name} : {Floor.name}* | {' | '.join(ratios)} | |"


def _aims(results: dict[int, Results]) -> Iterator[str]:
    samples = results[LARGEST]
    own = {step: samples[Netapply.name, step] for step in STEPS}
    peak = max(sample.megabytes for sample in own.values())
    no_op = own["no-op plan"].seconds
    yield f"| aim at {LARGEST} containers | wanted | measured | |"
    yield "| --- | ---: | ---: | --- |"
    yield _aim("up : C floor", 1.5, _ratio(samples, "up") or 0)
    yield _aim("down : C floor", 1.3, _ratio(samples, "down") or 0)
    yield _aim("no-op plan : up", 0.15, no_op / own["up"].seconds)
    yield _aim("one port added : no-op plan", 2, own["port"].seconds / no_op)
    yield _aim("peak memory, MB", 150, peak)
    if (Batches.name, "up") in samples:
        yield f"| (ip -batch + nft -f : C floor, up) | | {_times(_ratio(samples, 'up', Batches.name))} | |"
    if 100 in results:  # noqa: PLR2004 - the size that the growth is counted from
        growth = {name: _growth(results, name) for name in (Netapply.name, Floor.name)}
        yield _aim("cost of one container in up, 1000 : 100", growth[Floor.name], growth[Netapply.name])


def _aim(what: str, wanted: float, measured: float) -> str:
    verdict = "met" if measured <= wanted else f"missed by {(measured / wanted - 1) * 100:.0f} %"
    return f"| {what} | {wanted:.3g} | {measured:.3g} | {verdict} |"


def _ratio(samples: Results, step: str, name: str = Netapply.name) -> float | None:
    floor, own = samples.get((Floor.name, step)), samples.get((name, step))
    return own.seconds / floor.seconds if own and floor else None


def _growth(results: dict[int, Results], name: str) -> float:
    return results[LARGEST][name, "up"].seconds / LARGEST / (results[100][name, "up"].seconds / 100)


def _time(sample: Sample | None) -> str:
    if sample is None:
        return "-"
    return f"{sample.seconds:.2f} s" if sample.seconds >= 1 else f"{sample.seconds * 1000:.0f} ms"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _memory(samples: Results, name: str) -> str:
    if name != Netapply.name:
        return "-"
    return f"{max(sample.megabytes for (who, _), sample in samples.items() if who == name):.0f} MB"
