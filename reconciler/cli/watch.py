"""``netapply watch``: keep the host like the manifests in directories, until stopped."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.main import Settings
from reconciler.errors import NetapplyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.watch.git_origin import Origin


_REF, _FOLDER = "main", "."


class _Seconds(click.FloatRange):
    """From a tenth of a second to a week; no number (nan) is neither less nor more than anything."""

    def __init__(self) -> None:
        super().__init__(min=0.1, max=7 * 24 * 3600.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return number


@click.command("watch")
@click.argument("directories", nargs=-1, metavar="DIR...")
@click.option("--git", "url", default="", metavar="URL", help="Follow a git repository: a URL, or a path.")
@click.option("--ref", default=_REF, show_default=True, help="Its branch or tag, or a commit's whole name.")
@click.option("--path", "inner_path", default=_FOLDER, metavar="FOLDER", help="The folder of manifests in it.")
@click.option(
    "--git-interval",
    type=_Seconds(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often git is asked; SIGHUP asks at once.",
)
@click.option("--once", is_flag=True, help="Make the host like the manifests once, and end.")
@click.option(
    "--interval",
    type=_Seconds(),
    metavar="SECONDS",
    help="Look at everything so often, whatever events say. Default: as often as costs next to nothing.",
)
@click.option("--no-prune", is_flag=True, help="Keep stacks whose manifest was removed.")
@click.option("--allow-empty", is_flag=True, help="Take it as an order when all or most manifests are gone.")
@click.option("--metrics", default="", metavar="PLACE", help="Serve Prometheus metrics: unix:PATH or 127.0.0.1:PORT.")
@options.adopt
@options.no_host_rule
@click.pass_obj
def command(
    settings: Settings,
    directories: tuple[str, ...],
    url: str,
    ref: str,
    inner_path: str,
    git_interval: float,
    interval: float | None,
    metrics: str,
    *,
    once: bool,
    no_prune: bool,
    allow_empty: bool,
    adopt: bool,
    no_host_rule: bool,
) -> int:
    """Keep the host like the manifests in DIR or in a git repository, until stopped. SIGHUP: look at everything now."""
    origin = check(directories, url, ref, inner_path, metrics)
    if not once:
        # It would end us until the watcher listens, which begins with a look at everything.
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    from reconciler.kernel import host, machine  # noqa: PLC0415  # usage errors must not pay for it
    from reconciler.watch import log, service  # noqa: PLC0415  # as above
    from reconciler.watch.records import PRUNE_AFTER, START_PATIENCE, Policy  # noqa: PLC0415  # as above

    paths = _distinct(_directory(name) for name in directories)
    if os.geteuid() != 0:
        raise NetapplyError.of("changing the host needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)", hint="run with sudo")
    entered = host.enter(settings.host_name)
    # Once, nothing else is held up by waiting.
    times = (0.0, math.inf) if once else (PRUNE_AFTER, START_PATIENCE)
    policy = Policy(not no_prune, allow_empty, adopt, not no_host_rule, *times)
    logger = log.configure(settings.log_format, verbose=settings.verbose)
    how = service.Settings(paths, policy, interval, metrics, origin, git_interval)
    watcher = service.Service(entered, machine.Machine(entered, settings.firewall), how, logger)
    if once:
        return 0 if watcher.once() else 1
    watcher.run()
    return 0


def check(directories: tuple[str, ...], url: str, ref: str, inner_path: str, metrics: str) -> Origin | None:
    """The repository to follow, None: none. Raises UsageError, NetapplyError for words that no watcher can follow."""
    if not directories and not url:
        raise click.UsageError("name a directory of manifests, or a repository with --git")
    if metrics:
        from reconciler.watch import metrics_place  # noqa: PLC0415  # who has none need not pay for it

        metrics_place.check(metrics)
    if not url:
        if (ref, inner_path) != (_REF, _FOLDER):
            raise click.UsageError("--ref and --path are of a repository: name it with --git")
        return None
    from reconciler.watch.git_origin import Origin  # noqa: PLC0415  # who follows none need not pay for it

    # A path is to mean the same wherever git is started.
    given = Origin(url, ref, inner_path)
    origin = given if given.place != url else Origin(str(Path(url).absolute()), ref, inner_path)
    origin.check()
    return origin


def _distinct(paths: Iterable[str]) -> tuple[str, ...]:
    """Each directory once, by the first path that leads to it."""
    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)
    return tuple(found.values())


def _directory(name: str) -> str:
    """Its place by which its stacks are known. A link is not followed: what it leads to may be another one tomorrow."""
    path = Path(name).absolute()
    if not path.is_dir():
        raise NetapplyError.of(f"{name} is no directory", hint="name a directory of manifests")
    return str(path.parent.resolve() / path.name) if path.name not in {"", ".."} else str(path.resolve())
