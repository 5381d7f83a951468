"""Files -> manifests: which files make which stack, and what they share in one run."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from reconciler.errors import NetapplyError
from reconciler.manifest.converting import convert
from reconciler.manifest.discovery import discover, members
from reconciler.manifest.documents import Documents
from reconciler.manifest.faults import Faults
from reconciler.manifest.files import DOTENV, STDIN, Run, read_variables, variables_text
from reconciler.manifest.interpolation import Room
from reconciler.manifest.naming import stack_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Sequence as Several

    from reconciler.manifest.model import Manifest

_YES = frozenset({"1", "true", "yes", "on"})
_PROJECT = "COMPOSE_PROJECT_NAME"


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Hold Python's garbage collector: a tree has no cycles, and walking it again and again is a fifth of the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_collector_paused()
def load(paths: Several[str], stack_name: str | None, run: Run) -> Manifest:
    """See `reconciler.manifest.load`."""
    if not paths:
        raise NetapplyError.of("no manifest is named", hint="name a file")
    run.by_user.update(paths)
    manifest = _load(tuple(paths), stack_name, run)
    run.faults.stop_if_any()
    assert manifest is not None  # noqa: S101  # no manifest without a fault
    return _with_warnings(manifest, run)


@_collector_paused()
def stacks(
    file_arguments: Several[str],
    merged: Several[str],
    stack_name: str | None,
    directory: str,
    run: Run,
) -> tuple[Manifest, ...]:
    """See `reconciler.manifest.stacks`."""
    groups = _groups(file_arguments, merged, directory, run)
    # What named the files, or could have, serves what stands in them as well.
    started = () if file_arguments or merged else (directory,)
    if stack_name and len(groups) > 1:
        raise NetapplyError.of(f"-p {stack_name} cannot name {len(groups)} stacks", hint="name one file")
    loaded: dict[str, tuple[str, Manifest]] = {}
    for group in groups:
        manifest = _load(group, stack_name, run, started)
        if manifest is None:
            continue
        file, _ = loaded.setdefault(manifest.stack, (group[0], manifest))
        if file != group[0]:
            message = f"two stacks are named '{manifest.stack}': {file} and {group[0]}"
            run.faults.add(message, hint="give one of them another name:, or merge them with -f FILE -f FILE")
    run.faults.stop_if_any()
    first, *others = (manifest for _, manifest in loaded.values())
    return (_with_warnings(first, run), *others)


def _groups(
    file_arguments: Several[str],
    merged: Several[str],
    directory: str,
    run: Run,
) -> list[tuple[str, ...]]:
    """The files of each stack of the run."""
    if "" in {*file_arguments, *merged}:
        # It would be the current directory, and all stacks in it.
        raise NetapplyError.of("the name of a file is empty", hint="is a variable of the shell unset?")
    run.by_user.update(file_arguments, merged)
    if merged:
        if file_arguments:
            raise NetapplyError.of("files are given with -f and without", hint="use one of the two ways")
        return [tuple(merged)]
    if not file_arguments:
        prefix = "" if directory == "." else f"{directory}/"
        names = discover(directory, _environment((directory,), run), run.tree)
        paths = [name if name == STDIN or name.startswith("/") else prefix + name for name in names]
        # A .env beside the manifest may name files too, and be a stranger's.
        run.by_user.update(paths if "COMPOSE_FILE" in run.environment else ())
        return [tuple(paths)]
    groups: list[tuple[str, ...]] = []
    for argument in file_arguments:
        if argument != STDIN and run.tree.is_folder(argument):
            found = members(Path(argument), run.tree)
            if not found:
                run.faults.add(f"no manifest in {argument}", hint="a manifest's name ends in .yaml or .yml")
            groups += [(str(path),) for path in found]
        else:
            groups.append((argument,))
    return list(dict.fromkeys(groups))


def _load(paths: tuple[str, ...], argument: str | None, run: Run, started: tuple[str, ...] = ()) -> Manifest | None:
    """One stack; None when it could not be read as a whole. Faults are noted in ``run``.

    ``started``: directories whose ``.env`` goes before that beside the first file.
    """
    run.room, run.asked_bytes = Room(), 0
    directory = "." if paths[0] == STDIN else str(PurePosixPath(paths[0]).parent)
    environment = _environment((*started, directory), run)
    file = None if paths[0] == STDIN else Path(paths[0])
    documents = Documents(environment, directory, run)
    written = None if argument or environment.get(_PROJECT) else documents.written_name(paths)
    # A name that cannot be one is noted when the whole manifest is there.
    name, _ = stack_name(argument, environment, written, file and file.absolute(), Faults())
    documents.know(_PROJECT, name)
    root = documents.stack(paths)
    if root is None:
        return None
    profiles = frozenset(filter(None, [*run.profiles, *environment.get("COMPOSE_PROFILES", "").split(",")]))
    read_file = partial(variables_text, run=run)
    return convert(root, file, argument, environment, profiles, run.faults, read_file, run.room)


def _environment(directories: Several[str], run: Run) -> dict[str, str]:
    """The run's variables, and under them those of the files of variables; earlier directories go before later ones."""
    env_files = run.env_files
    if env_files is None and (named := run.environment.get("COMPOSE_ENV_FILES")):
        env_files = tuple(filter(None, named.split(",")))
    if env_files is not None:
        run.by_user.update(env_files)
        return {**read_variables(env_files, run.environment, run), **run.environment}
    if run.environment.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in _YES:
        return dict(run.environment)
    environment = dict(run.environment)
    for file in dict.fromkeys(str(PurePosixPath(directory, DOTENV)) for directory in directories):
        environment = {**read_variables([file], environment, run, optional=True), **environment}
    return environment


def _with_warnings(manifest: Manifest, run: Run) -> Manifest:
    run.unused.warn(run.faults)
    return replace(manifest, warnings=run.faults.all_warnings())
