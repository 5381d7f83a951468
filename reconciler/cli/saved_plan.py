"""Saved plans as files: FILE, which holds no secret, and FILE.key, with which secrets can be compared."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.arguments import Arguments, is_saved_plan
from reconciler.errors import NetapplyError, Problem
from reconciler.plan import saved
from reconciler.plan.saved import Saved
from reconciler.snapshot import holds_secrets

if TYPE_CHECKING:
    from reconciler.desired.scope import Scope
    from reconciler.manifest.model import Manifest
    from reconciler.observation import Observation
    from reconciler.plan.plan import Plan
    from reconciler.state import State

_ANEW = "save it anew: netapply plan --out FILE"
_KEY_BYTES = 32
_KEY_WORD = "netapply-plan-key "
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A saved plan that is to be carried out, with the key to its secrets."""

    path: str
    plan: Saved
    key: bytes = b""

    def check(self, observation: Observation, wanted: State, plan: Plan) -> None:
        """Raises NetapplyError, naming each object that differs, where ``plan`` is not what was reviewed."""
        if saved.is_done(self.plan, wanted, plan, self.key):
            return
        problem = saved.objection(self.path, self.plan, observation, wanted, plan, self.key)
        if problem:
            raise NetapplyError([problem])


def save(
    path: str, arguments: Arguments, firewall: str, scope: Scope, observation: Observation, wanted: State, plan: Plan
) -> None:
    """Write the plan, and its key where it has secrets; both readable by their owner alone, both complete or not at all.

    Raises NetapplyError where something else stands there, or it cannot be written.
    """
    from reconciler.kernel.files import write_private  # noqa: PLC0415  # only who saves needs it

    key_path = _key_path(path)
    if Path(path).exists() and not is_saved_plan(path):
        raise NetapplyError.of(f"{path} is there and is not a saved plan", hint="give --out another name")
    if key_path.exists() and not _is_key(key_path):
        raise NetapplyError.of(f"{key_path} is there and is not of netapply", hint="give --out another name")
    kept = saved.saved(scope, firewall, _recorded(arguments), observation, wanted, plan)
    key = secrets.token_bytes(_KEY_BYTES) if holds_secrets(kept.before) or holds_secrets(kept.after) else b""
    text = json.dumps(saved.to_document(kept, key), separators=(",", ":"))
    try:
        if key:
            write_private(key_path, f"{_KEY_WORD}{key.hex()}\n")
        else:
            key_path.unlink(missing_ok=True)
        write_private(Path(path), text + "\n")
    except OSError as error:
        raise NetapplyError.of(f"cannot write {path}: {error.strerror or error}") from None


def load(path: str) -> Reviewed:
    """The saved plan with its key. Raises NetapplyError where one of them is missing or damaged."""
    try:
        with Path(path).open("rb") as file:
            document = json.loads(file.read(_LARGEST))
    except OSError as error:
        raise NetapplyError.of(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise NetapplyError.of(f"{path}: the saved plan is damaged", hint=_ANEW) from None
    try:
        plan = saved.from_document(document)
    except NetapplyError as error:
        raise NetapplyError(
            [Problem(f"{path}: {each.message}", hint=each.hint or _ANEW) for each in error.problems]
        ) from None
    key = _key_of(path) if plan.key_mark else b""
    if saved.mark_of(key) != plan.key_mark:
        message = f"{_key_path(path)} is the key of another plan than {path}"
        raise NetapplyError.of(message, hint="keep the two files together, or save the plan anew")
    return Reviewed(path, plan, key)


def _key_of(path: str) -> bytes:
    key_path = _key_path(path)
    try:
        return bytes.fromhex(key_path.read_text().removeprefix(_KEY_WORD).strip())
    except FileNotFoundError:
        message = f"{key_path} is missing: without it nobody can tell whether the secrets are the reviewed ones"
        raise NetapplyError.of(message, hint="bring it along with the plan, or save the plan anew") from None
    except (OSError, ValueError) as error:
        raise NetapplyError.of(f"{key_path} cannot be read: {error}") from None


def manifests_of(reviewed: Reviewed, given: Arguments) -> tuple[Manifest, ...]:
    """The manifests that the plan was made from, or those that the command line names in their place.

    Raises NetapplyError: they cannot be read, or are of other stacks.
    """
    arguments, directory = _remembered(reviewed.plan.arguments)
    if given.files or given.merged:
        arguments, directory = replace(arguments, files=given.files, merged=given.merged), "."
    if given.env_files:
        arguments = replace(arguments, env_files=given.env_files)
    try:
        found = arguments.stacks(directory=directory)
    except NetapplyError as error:
        raise NetapplyError(_with_reason(error.problems, reviewed)) from None
    names = {each.stack for each in found}
    if names != reviewed.plan.stacks:
        planned = ", ".join(sorted(reviewed.plan.stacks))
        message = f"{reviewed.path} is about {planned}, the manifests are of {', '.join(sorted(names))}"
        raise NetapplyError.of(message, hint="name the manifests that it was made from")
    return found


def _with_reason(problems: Sequence[Problem], reviewed: Reviewed) -> list[Problem]:
    """The problems, and what the manifest is needed for."""
    secret = reviewed.plan.environment()
    held = f", and for the values of {'; '.join(secret)}" if secret else ""
    message = f"{reviewed.path} needs its manifests again: to see that they still ask for the same{held}"
    hint = f"if they stand elsewhere now, name them: netapply up {reviewed.path} FILE"
    return [*problems, Problem(message, hint=hint)]


def _recorded(arguments: Arguments) -> dict[str, Any]:
    return {
        "directory": str(Path.cwd()),
        "files": list(arguments.files),
        "merged": list(arguments.merged),
        "stack_name": arguments.stack_name,
        "profiles": list(arguments.profiles),
        "env_files": list(arguments.env_files),
    }


def _remembered(recorded: Any) -> tuple[Arguments, str]:
    """The arguments as they count here, and the directory to look in. Raises NetapplyError."""
    match recorded:
        case {
            "directory": str(directory),
            "files": list(files),
            "merged": list(merged),
            "stack_name": str() | None as stack_name,
            "profiles": list(profiles),
            "env_files": list(env_files),
        } if all(isinstance(each, str) for each in (*files, *merged, *profiles, *env_files)):
            # Where the plan was made, the files are called as they were then.
            at = "" if directory == str(Path.cwd()) else directory
            several = [_placed(each, at) for each in (files, merged, env_files)]
            return Arguments(several[0], several[1], stack_name, tuple(profiles), several[2]), at or "."
    raise NetapplyError.of("the arguments in this saved plan are not what netapply writes")


def _placed(paths: list[str], directory: str) -> tuple[str, ...]:
    return tuple(path if path == "-" or not directory else str(Path(directory, path)) for path in paths)


def _key_path(path: str) -> Path:
    return Path(f"{path}.key")


def _is_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_KEY_WORD)) == _KEY_WORD.encode()
    except OSError:
        return False
