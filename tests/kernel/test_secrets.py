"""A secret in ``environment`` reaches the container's command, and nobody and nothing else."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.lab import Host

CANARY = "c4nary-b41d-57e7"
SECOND = "c4nary-77aa-90f1"
SHOP = f"""
name: shop
containers:
  server:
    command: [sh, -c, "while :; do sleep 0.1; done"]
    environment: {{PASSWORD: {CANARY}, PLAIN: shown-nowhere-either}}
    ports: ["8080:80"]
  job:
    command: [sh, -c, 'test "$$PASSWORD" = {CANARY[:6]}"{CANARY[6:]}"']
    environment: ["PASSWORD={CANARY}"]
"""
"""The job's command proves that the secret arrived, and holds it only in two halves."""

COMMANDS = [
    ["ps"],
    ["ps", "--format", "json"],
    ["ps", "shop.yaml"],
    ["ls"],
    ["ls", "--format", "json"],
    ["network", "ls"],
    ["network", "ls", "--format", "json"],
    ["network", "inspect", "shop_default"],
    ["network", "inspect", "--format", "json", "shop_default"],
    ["inspect", "server"],
    ["inspect", "job"],
    ["inspect", "shop"],
    ["port", "server"],
    ["port", "--format", "json", "server"],
    ["port", "--reverse", "8080"],
    ["logs", "server"],
    ["logs", "job"],
    ["config", "shop.yaml"],
    ["config", "--format", "yaml", "shop.yaml"],
    ["config", "--format", "json", "shop.yaml"],
    ["plan", "shop.yaml"],
    ["plan", "--format", "json", "shop.yaml"],
    ["plan", "--detail", "shop.yaml"],
    ["plan", "--format", "markdown", "shop.yaml"],
    ["plan", "--format", "html", "shop.yaml"],
    ["graph", "--format", "svg", "shop.yaml"],
    ["graph", "--live", "--format", "html"],
    ["up", "--dry-run", "shop.yaml"],
    ["up", "shop.yaml"],
    ["schema"],
    ["snapshot"],
    *(["plan", "--base", "shop.yaml", "--format", name, "shop.yaml"] for name in ("text", "json", "markdown", "html")),
    ["plan", "--out", "shop.plan", "shop.yaml"],
    ["up", "shop.plan"],
    ["reach", "--matrix", "--format", "json", "-f", "shop.yaml"],
]
PLANS = [
    ["plan", "shop.yaml"],
    ["plan", "--detail", "shop.yaml"],
    *(["plan", "--format", name, "shop.yaml"] for name in ("json", "markdown", "html")),
    ["up", "--dry-run", "shop.yaml"],
]
GLOBAL_OPTIONS = [[], ["-v", "--log-format", "json"]]


def traces(secret: str) -> list[str]:
    """The secret, and what would let somebody guess it or read it after all."""
    raw = secret.encode()
    hashes = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512, hashlib.blake2b)
    digests = [make(raw).hexdigest()[:16] for make in hashes]
    short = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return [secret, raw.hex(), base64.b64encode(raw).decode().rstrip("="), *digests, short]


TRACES = traces(CANARY) + traces(SECOND)


def found_in(text: str) -> list[str]:
    """Which traces of the secrets stand there."""
    return [trace for trace in TRACES if trace in text]


def said(host: Host, *arguments: str) -> tuple[int, str]:
    """Exit code and all that was printed, after making sure that no secret was."""
    done = host.netapply(*arguments, check=False)
    assert found_in(done.stdout + done.stderr) == [], arguments
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def shop(host: Host) -> Host:
    """The host with the shop, whose job has ended well: the secret did arrive."""
    host.write("shop.yaml", SHOP)
    assert said(host, "up", "shop.yaml")[0] == 0
    deadline = time.monotonic() + 30
    while (job := next(each for each in host.ps() if each["name"] == "job"))["state"] != "exited":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert job["exit_code"] == 0
    return host


@pytest.mark.parametrize("options", GLOBAL_OPTIONS, ids=" ".join)
def test_no_command_shows_it_in_any_format(shop: Host, options: list[str]) -> None:
    for command in COMMANDS:
        code, text = said(shop, *options, *command)
        assert code == 0, (command, text)
        assert "shown-nowhere-either" not in text, command


@pytest.mark.parametrize("options", GLOBAL_OPTIONS, ids=" ".join)
def test_a_changed_secret_is_called_changed_and_neither_value_is_shown(shop: Host, options: list[str]) -> None:
    shop.write("shop.yaml", SHOP.replace(f"PASSWORD: {CANARY}", f"PASSWORD: {SECOND}"))
    for command in PLANS:
        code, text = said(shop, *options, *command)
        assert code == 2
        # That it is the password which changed is no secret.
        assert "PASSWORD" in text or "environment" in text
    assert said(shop, *options, "up", "shop.yaml")[0] == 0
    assert said(shop, *options, "down", "shop.yaml")[0] == 0


def test_what_is_saved_does_not_hold_it(shop: Host) -> None:
    """Snapshot, saved plan and its key, of the secret that is there and of the one that is to come."""
    shop.write("snapshot.json", shop.netapply("snapshot").stdout)
    shop.write("old.yaml", SHOP)
    shop.write("shop.yaml", SHOP.replace(f"PASSWORD: {CANARY}", f"PASSWORD: {SECOND}"))
    against: list[list[str]] = [["--observed", "snapshot.json"], ["--base", "old.yaml"], []]
    for options in (*against, [*against[0], *against[1]]):
        for form in ("text", "json", "markdown", "html"):
            code, text = said(shop, "plan", *options, "--format", form, "shop.yaml")
            assert code == (0 if options == against[0] else 2), (options, text)
    assert said(shop, "plan", "--out", "shop.plan", "shop.yaml")[0] == 2
    shop.write("other.yaml", (shop.folder / "shop.yaml").read_text().replace(SECOND, CANARY))
    assert said(shop, "up", "shop.plan", "other.yaml")[0] == 1
    for name in ("snapshot.json", "shop.plan", "shop.plan.key"):
        assert found_in((shop.folder / name).read_text()) == [], name
    assert said(shop, "up", "--confirm", "60", "shop.plan")[0] == 0
    assert said(shop, "confirm")[0] == 0


def test_the_first_plan_and_its_up_do_not_show_it(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    for command in PLANS:
        assert said(host, *command)[0] == 2
    assert said(host, "-v", "up", "shop.yaml")[0] == 0
    assert said(host, "-v", "down", "-p", "shop")[0] == 0


FAULTS = {
    "command that cannot start": (
        f"containers: {{a: {{command: [/no/such/file], environment: {{K: {CANARY}}}}}}}",
        "/no/such/file",
    ),
    "user that is not there": (
        f"containers: {{a: {{command: [true], user: nobody-here, environment: {{K: {CANARY}}}}}}}",
        "nobody-here",
    ),
    "value that is a mapping": (f"containers: {{a: {{command: [true], environment: {{K: {{x: {CANARY}}}}}}}}}", "K"),
    "value that is a list": (f"containers: {{a: {{command: [true], environment: {{K: [{CANARY}]}}}}}}", "K"),
    "list entry that is a mapping": (
        f"containers: {{a: {{command: [true], environment: [{{K: {CANARY}}}]}}}}",
        "this item takes text",
    ),
    "unknown key beside it": (
        f"containers:\n  a:\n    command: [true]\n    environment: [K={CANARY}]\n    prots: [1]\n",
        "prots",
    ),
    "the same key twice": (
        f"containers:\n  a:\n    command: [true]\n    environment:\n      K: {CANARY}\n      K: {SECOND}\n",
        "K",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_error_shows_it(host: Host, fault: str) -> None:
    text, named = FAULTS[fault]
    host.write("faulty.yaml", text)
    code, shown = said(host, "up", "faulty.yaml")
    assert code == 1
    assert named in shown


def test_a_variable_that_fills_it_is_not_shown(host: Host) -> None:
    text = 'name: shop\ncontainers: {a: {command: [sleep, "60"], environment: {K: "${TOKEN}"}}}\n'
    host.write("shop.yaml", text)
    for command in (["config"], ["config", "--format", "json"], ["plan"], ["up"]):
        done = host.netapply(*command, "shop.yaml", check=False, environment={"TOKEN": CANARY})
        assert done.returncode in {0, 2}, done.stderr
        assert found_in(done.stdout + done.stderr) == []


def test_files_that_hold_it_are_roots_alone(shop: Host) -> None:
    holders = [path for path in _files() if CANARY.encode() in path.read_bytes()]
    # A test that found none would look in the wrong place.
    assert {path.name for path in holders} == {"config.json", "definition.json"}
    for path in holders:
        assert _mode(path) & 0o077 == 0, path
        assert any(_mode(parent) & 0o077 == 0 for parent in path.parents), path


def test_files_do_not_hold_what_tells_it(shop: Host) -> None:
    for path in _files():
        text = path.read_bytes().decode(errors="replace")
        assert [trace for trace in found_in(text) if trace != CANARY] == [], path


def test_nobody_else_can_read_below_the_run_folder(shop: Host) -> None:
    listed = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", "/run/netapply"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    assert listed.returncode != 0
    assert "Permission denied" in listed.stderr


def test_the_agents_log_and_the_firewall_and_the_links_do_not_hold_it(shop: Host) -> None:
    logs = [path for path in _files() if path.name != "log" and "log" in path.name]
    assert logs
    ruleset = shop.run(["nft", "list", "ruleset"]).stdout
    links = shop.run(["ip", "-d", "link"]).stdout
    assert "8080" in ruleset
    assert "netapply:endpoint" in links
    for text in (ruleset, links, *(path.read_text(errors="replace") for path in logs)):
        assert found_in(text) == []


def test_gone_with_the_stack(shop: Host) -> None:
    said(shop, "down", "shop.yaml")
    assert [path for path in _files() if CANARY.encode() in path.read_bytes()] == []


def test_no_command_line_holds_it_at_any_moment_and_no_environment_but_the_commands(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    with _watched() as watch:
        said(host, "up", "shop.yaml")
        host.netapply("exec", "server", "true")
        host.netapply("ps")
        server = next(each for each in host.ps() if each["name"] == "server")
        networks = {host.path.stat().st_ino, Path(server["netns"]).stat().st_ino}
        environments = _holders_of_environments(networks)
        said(host, "down", "shop.yaml")
    assert watch.seen == set()
    assert watch.rounds > 20
    # The command itself, and what it starts: all in its process namespace.
    assert server["pid"] in environments
    assert set(environments.values()) == {environments[server["pid"]]}


class _Watch:
    """Reads the command lines of all processes again and again."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.rounds = 0
        self.ended = threading.Event()

    def look(self) -> None:
        while not self.ended.is_set():
            self.rounds += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    self.seen.update(found_in(text))


@contextlib.contextmanager
def _watched() -> Iterator[_Watch]:
    watch = _Watch()
    thread = threading.Thread(target=watch.look)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        thread.join()


def _holders_of_environments(networks: set[int]) -> dict[int, int]:
    """The processes whose environment holds the secret, with their process namespace.

    Only those in these network namespaces: another test's processes are seen here too.
    """
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_ours = (path / "ns/net").stat().st_ino in networks
            if is_ours and CANARY.encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "ns/pid").stat().st_ino
    return found


def _files() -> list[Path]:
    return [path for path in Path("/run/netapply").rglob("*") if path.is_file()]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
