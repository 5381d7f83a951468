"""Plans where no host is: against snapshots, other manifests and commits, on a laptop that is no Linux."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import manifest, snapshot
from reconciler.cli import main
from reconciler.desired.assumed import assumed_facts
from reconciler.desired.base import made_by
from reconciler.observation import Observation
from reconciler.state import State

REPOSITORY = Path(__file__).parents[3]
CANARY = "c4nary-0ff1-1e57"
SHOP = f"""
networks: {{front: , back: {{internal: true}}}}
containers:
  web:
    command: [sleep, "60"]
    networks: [front, back]
    ports: ["8080:80", "443"]
    environment: {{PASSWORD: {CANARY}}}
  db: {{networks: [back]}}
"""
Plan = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where netapply runs: a folder with one manifest."""
    home = tmp_path / "shop"
    home.mkdir()
    monkeypatch.chdir(home)
    for name in os.environ:
        if name.startswith(("COMPOSE_", "GIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (home / "shop.yaml").write_text(SHOP)
    return home


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    """Runs ``netapply plan --format json``: exit code, document, standard error."""

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        code = main.run(["plan", "--format", "json", *arguments])
        said = capsys.readouterr()
        assert CANARY not in said.out + said.err
        return code, json.loads(said.out) if code != 1 else {}, said.err

    return run


def write_snapshot(folder: Path, **changed: str) -> str:
    """The snapshot of a host on which the manifest is up, with these texts replaced in it first."""
    text = (folder / "shop.yaml").read_text()
    for old, new in changed.items():
        text = text.replace(old, new)
    (folder / "then.yaml").write_text(text)
    manifests = manifest.stacks(["then.yaml"], environment={}, stack_name="shop")
    observation = made_by(manifests, Observation(State(), assumed_facts(manifests)))
    (folder / "then.yaml").unlink()
    path = folder / "snapshot.json"
    path.write_text(json.dumps(snapshot.observation_to_document(observation)))
    return str(path)


def names(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["action"], change["name"]) for change in document["changes"]]


def test_what_the_snapshot_has_is_no_change(folder: Path, plan: Plan) -> None:
    code, document, said = plan("--observed", write_snapshot(folder), "shop.yaml")
    assert (code, document["changes"]) == (0, [])
    # A changed value would not be seen, and that is said.
    assert "values of environment variables" in said


def test_what_it_lacks_is_one(folder: Path, plan: Plan) -> None:
    path = write_snapshot(folder, **{'"8080:80", ': ""})
    code, document, _ = plan("--observed", path, "shop.yaml")
    assert code == 2
    made = [change for change in document["changes"] if change["kind"] == "port"]
    assert {(each["action"], each["after"]["host_port"]) for each in made} == {("create", 8080)}


def test_a_new_variable_is_a_change_and_a_new_value_is_none(folder: Path, plan: Plan) -> None:
    path = write_snapshot(folder)
    (folder / "shop.yaml").write_text(SHOP.replace(CANARY, "another"))
    assert plan("--observed", path, "shop.yaml")[0] == 0
    (folder / "shop.yaml").write_text(SHOP.replace("{PASSWORD", "{USER: me, PASSWORD"))
    assert ("delete", "shop/web:command") in names(plan("--observed", path, "shop.yaml")[1])


def test_a_snapshot_from_a_host_where_the_manifest_stood_elsewhere(folder: Path, plan: Plan) -> None:
    path = write_snapshot(folder)
    elsewhere = folder / "checkout"
    elsewhere.mkdir()
    shutil.move(folder / "shop.yaml", elsewhere / "shop.yaml")
    assert plan("--observed", path, "checkout/shop.yaml")[0] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "this is not JSON"), ("[]", "format_version is None"), ("[" * 100_000, "this is not JSON")],
)
def test_what_is_no_snapshot_is_said(folder: Path, plan: Plan, text: str, message: str) -> None:
    (folder / "bad.json").write_text(text)
    code, _, said = plan("--observed", "bad.json", "shop.yaml")
    assert code == 1
    assert "bad.json: " in said
    assert message in said
    assert plan("--observed", "missing.json", "shop.yaml")[2].startswith("error: missing.json: no such file")


def test_a_base_file_and_its_secrets(folder: Path, plan: Plan) -> None:
    (folder / "old.yaml").write_text(SHOP.replace(CANARY, "c4nary-old").replace("8080:80", "8081:80"))
    code, document, said = plan("--base", "old.yaml", "shop.yaml")
    assert code == 2
    # Both stacks are named after their files; the one is what the other was.
    assert {change["stack"] for change in document["changes"]} <= {"shop", "host"}
    assert ("delete", "shop/web:command") in names(document)
    assert not any("/db" in name for _, name in names(document))
    assert "c4nary-old" not in json.dumps(document) + said


def test_the_same_base_is_no_change_and_twice_the_same(folder: Path, plan: Plan) -> None:
    assert plan("--base", "shop.yaml", "shop.yaml")[:2] == plan("--base", "shop.yaml", "shop.yaml")[:2]
    assert plan("--base", "shop.yaml", "shop.yaml")[0] == 0


def test_a_base_under_a_snapshot(folder: Path, plan: Plan) -> None:
    """What the host has of other stacks counts, and what it has of these does not: that is the base's to say."""
    path = write_snapshot(folder, **{"8080:80": "8089:80"})
    (folder / "other.yaml").write_text('containers: {x: {ports: ["8089:80"]}}')
    code, _, said = plan("--observed", path, "other.yaml")
    assert code == 1
    assert "8089" in said
    (folder / "old.yaml").write_text(SHOP.replace("8080:80", "8081:80"))
    code, document, _ = plan("--observed", path, "--base", "old.yaml", "shop.yaml")
    moved = [change for change in document["changes"] if change["kind"] == "port"]
    assert moved
    assert {change["before"]["host_port"] for change in moved} == {8081}


def test_a_base_directory(folder: Path, plan: Plan) -> None:
    base = folder.parent / "main"
    base.mkdir()
    shutil.copy(folder / "shop.yaml", base)
    (base / "other.yaml").write_text("containers: {x: }")
    (folder / "other.yaml").write_text("containers: {x: , y: }")
    (folder / "new.yaml").write_text("containers: {x: }")
    _, document, _ = plan("--base", str(base), ".")
    assert {change["stack"] for change in document["changes"]} == {"new", "other"}
    assert not [change for change in document["changes"] if change["name"].startswith("other/x")]
    # One file of the directory alone: the base has the whole of its own.
    document = plan("--base", str(base), "other.yaml")[1]
    assert {change["stack"] for change in document["changes"]} == {"other"}
    assert plan("--base", str(base), "shop.yaml")[0] == 0


def test_a_directory_that_gives_its_name_to_the_stack(folder: Path, plan: Plan) -> None:
    (folder / "shop.yaml").rename(folder / "compose.yaml")
    base = folder.parent / "main"
    base.mkdir()
    shutil.copy(folder / "compose.yaml", base)
    for arguments in (("--base", str(base)), ("--base", str(base), "."), ("--base", str(base), "compose.yaml")):
        assert plan(*arguments)[0] == 0, arguments


def test_what_only_the_base_has_stays_and_is_named(folder: Path, plan: Plan) -> None:
    base = folder.parent / "main"
    base.mkdir()
    shutil.copy(folder / "shop.yaml", base)
    (base / "old.yaml").write_text("containers: {x: }")
    code, document, said = plan("--base", str(base), ".")
    assert (code, document["changes"]) == (0, [])
    assert "stack old is in the base only" in said


def git(*arguments: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True, timeout=30)


def test_a_commit(folder: Path, plan: Plan) -> None:
    git("init")
    (folder / ".gitignore").write_text(".env\n")
    (folder / ".env").write_text("PORT=8080\n")
    (folder / "common.yaml").write_text("containers: {base: {networks: [back]}}\n")
    text = SHOP.replace("8080:80", "${PORT:?}:80").replace(
        "db: {", "db: {extends: {file: common.yaml, service: base}, "
    )
    (folder / "shop.yaml").write_text(text)
    (folder / "link.yaml").symlink_to("shop.yaml")
    git("add", ".")
    git("commit", "-m", "first")
    assert plan("--base", "git:HEAD", "shop.yaml")[0] == 0
    assert plan("--base", "git:main", "-p", "shop", "link.yaml")[0] == 0
    (folder / "shop.yaml").write_text(text.replace("443", "444"))
    (folder / "common.yaml").write_text("containers: {}\n")
    (folder / "shop.yaml").write_text(
        text.replace("443", "444").replace("extends: {file: common.yaml, service: base}, ", "")
    )
    (folder / "new.yaml").write_text("containers: {x: }")
    code, document, _ = plan("--base", "git:HEAD", "shop.yaml")
    assert code == 2
    assert {change["kind"] for change in document["changes"]} <= {"port", "agent"}
    # The commit has nothing of it: all of it is new.
    code, document, _ = plan("--base", "git:HEAD", "new.yaml")
    assert {action for action, _ in names(document)} == {"create"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("git:nowhere", "there is no commit nowhere"),
        ("git:--upload-pack=x", "is no commit"),
        ("git:", "is no commit"),
        ("nowhere", "no such file or directory"),
    ],
)
def test_no_such_base(folder: Path, plan: Plan, reference: str, message: str) -> None:
    git("init")
    code, _, said = plan("--base", reference, "shop.yaml")
    assert code == 1
    assert message in said
    assert "hint: " in said


def test_outside_of_a_repository(folder: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    code, _, said = plan("--base", "git:HEAD", "shop.yaml")
    assert code == 1
    assert "not a git repository" in said
    monkeypatch.setenv("PATH", str(folder))
    assert "needs the command git" in plan("--base", "git:HEAD", "shop.yaml")[2]


def test_faults_of_the_base_say_so(folder: Path, plan: Plan) -> None:
    (folder / "old.yaml").write_text("containers: {web: {prots: [80]}}")
    code, _, said = plan("--base", "old.yaml", "shop.yaml")
    assert code == 1
    assert "old.yaml:1:20: error: in the base old.yaml: " in said


NOT_LINUX = """
import builtins, os, socket, sys, sysconfig

sysconfig.get_config_vars()

HIDDEN = {"fcntl", "pyroute2", "iptc", "termios", "resource", "watchdog"}
OWN = tuple(f"reconciler.{name}" for name in ("kernel", "agent", "watch"))

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN or name.startswith(OWN):
            raise ModuleNotFoundError(name)

for name in HIDDEN & set(sys.modules):
    del sys.modules[name]
sys.meta_path.insert(0, Hidden())
sys.platform = "darwin"
for name in ("setns", "unshare", "pidfd_open", "memfd_create", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("AF_NETLINK", "SO_NETNS_COOKIE"):
    if hasattr(socket, name):
        delattr(socket, name)
opened = builtins.open
def careful(file, *arguments, **options):
    assert not str(file).startswith(("/proc", "/sys", "/run")), file
    return opened(file, *arguments, **options)
builtins.open = careful
from reconciler.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_on_a_laptop_that_is_no_linux(folder: Path, form: str) -> None:
    path = write_snapshot(folder, **{'"8080:80", ': ""})
    (folder / "old.yaml").write_text(SHOP.replace("8080:80", "8081:80"))
    for against in (["--observed", path], ["--base", "old.yaml"], ["--observed", path, "--base", "old.yaml"]):
        arguments = ["plan", *against, "--format", form, "shop.yaml"]
        done = subprocess.run(
            [sys.executable, "-c", NOT_LINUX, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2, done.stderr
        assert "8080" in done.stdout
        assert "Traceback" not in done.stderr


def test_what_needs_the_host_is_a_sentence_there(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOT_LINUX, "plan", "shop.yaml"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "needs Linux" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_snapshot_with_an_address_that_is_none(folder: Path, plan: Plan) -> None:
    path = write_snapshot(folder)
    document = json.loads(Path(path).read_text())
    document["facts"]["taken_subnets"] = ["elsewhere"]
    Path(path).write_text(json.dumps(document))
    code, _, said = plan("--observed", path, "shop.yaml")
    assert code == 1
    assert said.startswith(f"error: {path}: ")
    assert "'elsewhere'" in said
