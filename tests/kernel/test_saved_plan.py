"""What was reviewed is what is done: ``plan --out FILE``, ``up FILE``."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest

from tests.kernel.lab import Host
from tests.kernel.test_secrets import found_in

CANARY = "c4nary-b41d-57e7"
SHOP = f"""
name: shop
networks: {{front: , back: {{internal: true}}}}
containers:
  web:
    command: [sleep, "600"]
    environment: {{PASSWORD: {CANARY}}}
    networks: [front, back]
    ports: ["8080:80"]
  db: {{networks: [back]}}
"""


@pytest.fixture
def saved(host: Host) -> Host:
    """A host with the plan of its first stack in ``shop.plan``."""
    host.write("shop.yaml", SHOP)
    save(host)
    return host


def save(host: Host, *arguments: str) -> str:
    done = host.netapply("plan", "--out", "shop.plan", *(arguments or ("shop.yaml",)), check=False)
    assert done.returncode == 2, done.stderr
    assert "netapply up shop.plan" in done.stderr
    return done.stdout


def refused(host: Host, *arguments: str) -> str:
    """What ``up`` says, having changed nothing."""
    before = host.snapshot()
    words = arguments if "up" in arguments else ("up", *(arguments or ("shop.plan",)))
    done = host.netapply(*words, check=False)
    assert done.returncode == 1, done.stdout
    assert host.snapshot() == before
    assert found_in(done.stdout + done.stderr) == []
    return done.stderr


def test_exactly_that_is_done(saved: Host) -> None:
    planned = saved.netapply("plan", "shop.yaml", check=False).stdout
    done = saved.netapply("up", "shop.plan").stdout
    # Line by line what was shown: the sums are the same.
    assert planned.splitlines()[-1].split()[1] == done.splitlines()[-1].split()[1]
    assert saved.plan("shop.yaml") == []
    # Again: there is nothing left of it to do.
    assert saved.netapply("up", "shop.plan").stdout == "Nothing to do.\n"


def test_files_are_root_only_and_hold_no_secret(saved: Host) -> None:
    files = [saved.folder / name for name in ("shop.plan", "shop.plan.key")]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert found_in("".join(file.read_text() for file in files)) == []
    # The key stands in its own file only, and another one every time.
    key = files[1].read_text().split()[1]
    assert key not in files[0].read_text()
    first = files[0].read_text()
    save(saved)
    assert files[1].read_text().split()[1] != key
    assert json.loads(first)["before"] == json.loads(files[0].read_text())["before"]
    assert json.loads(first)["after"] != json.loads(files[0].read_text())["after"]


def test_without_secrets_there_is_no_key(host: Host) -> None:
    host.write("shop.yaml", "containers: {a: {ports: ['80']}}")
    save(host)
    assert not (host.folder / "shop.plan.key").exists()
    host.netapply("up", "shop.plan")
    assert host.plan("shop.yaml") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8080:80", "8081:80", "shop/web: publish 8081/tcp"),
        (CANARY, "c4nary-77aa-90f1", "another environment than the plan"),
        ("  db: {networks: [back]}\n", "", "the manifest does not ask any more for what the plan has: shop/db"),
        ("[sleep, ", "[sleep, -v, ", "another command than the plan"),
    ],
)
def test_a_changed_manifest_is_refused_with_what_differs(saved: Host, old: str, new: str, message: str) -> None:
    saved.write("shop.yaml", SHOP.replace(old, new))
    said = refused(saved)
    assert "shop.plan is not what would be done now, so nothing is" in said
    assert message in said
    assert "the host has changed" not in said
    assert "hint: look at what has become of it" in said


def test_another_manifest_that_the_host_is_like_already_is_refused(host: Host) -> None:
    """Nothing would be done, but not because the plan is done."""
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    host.write("new.yaml", SHOP.replace(CANARY, "c4nary-77aa-90f1"))
    save(host, "new.yaml")
    assert "another environment than the plan" in refused(host, "shop.plan", "shop.yaml")


def test_what_only_reads_differently_is_no_change(saved: Host) -> None:
    saved.write("shop.yaml", "# reviewed\n" + SHOP.replace("[front, back]", "[back, front]"))
    saved.netapply("up", "shop.plan")


def test_a_changed_host_is_refused_with_what_differs(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    host.write("shop.yaml", SHOP.replace("8080:80", "8081:80"))
    save(host)
    bridge = host.netapply("network", "inspect", "--format", "json", "shop_back").stdout
    name = json.loads(bridge)["interface"]
    host.run(["ip", "link", "set", name, "mtu", "1400"])
    said = refused(host)
    assert "the host has changed since the plan was made: shop/back: " in said
    assert "mtu" in said
    host.run(["ip", "link", "set", name, "mtu", "1500"])
    host.run(["nft", "delete", "table", "inet", "netapply"])
    assert " is gone" in refused(host)
    host.netapply("up", "shop.yaml")
    # Somebody did meanwhile just what the plan says.
    assert host.netapply("up", "shop.plan").stdout == "Nothing to do.\n"


def test_the_hosts_own_firewall_and_another_backend_are_named_as_such(saved: Host) -> None:
    said = refused(saved, "--firewall", "iptables", "up", "shop.plan")
    assert "the plan was made for nftables, this run is for iptables" in said
    assert "manifest" not in said
    chain = "table inet f { chain fw { type filter hook forward priority 0; policy drop; }; }"
    saved.run(["nft", chain])
    said = refused(saved)
    assert "the host's own firewall has changed since the plan was made, and needs one rule more: " in said
    assert "manifest" not in said


def test_another_stack_that_came_is_no_reason(saved: Host) -> None:
    """The host's part stands already when the plan's turn comes: that is not what was shown. A stack beside one is."""
    saved.netapply("up", "shop.plan")
    saved.write("shop.yaml", SHOP.replace("8080:80", "8081:80"))
    save(saved)
    saved.write("other.yaml", "containers: {x: {ports: ['90']}}")
    saved.netapply("up", "other.yaml")
    saved.netapply("up", "shop.plan")
    assert saved.plan("shop.yaml") == saved.plan("other.yaml") == []


def test_a_port_that_somebody_took_meanwhile(saved: Host) -> None:
    saved.serve(8080, protocols=["tcp"])
    assert "8080/tcp" in refused(saved)


def test_another_host(saved: Host) -> None:
    other = saved.lab.host("other")
    for name in ("shop.plan", "shop.plan.key", "shop.yaml"):
        (other.folder / name).write_text((saved.folder / name).read_text())
    assert "another host" in refused(other, "shop.plan", "shop.yaml")


def test_the_manifest_moved(saved: Host) -> None:
    (saved.folder / "shop.yaml").rename(saved.folder / "moved.yaml")
    said = refused(saved)
    assert "shop.yaml: no such file" in said
    assert "for the values of shop/web: PASSWORD" in said
    assert "hint: if they stand elsewhere now, name them: netapply up shop.plan FILE" in said
    saved.write("other.yaml", "name: other\ncontainers: {x: }")
    assert "is about shop, the manifests are of other" in refused(saved, "shop.plan", "other.yaml")
    saved.netapply("up", "shop.plan", "moved.yaml")
    assert saved.plan("moved.yaml") == []


def test_from_another_folder(saved: Host, tmp_path: Path) -> None:
    command = saved.command("up", str(saved.folder / "shop.plan"))
    done = subprocess.run(
        command, cwd=tmp_path, env=saved.environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_made_elsewhere_from_a_snapshot(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    host.netapply("up", "shop.yaml")
    host.write("snapshot.json", host.netapply("snapshot").stdout)
    host.write("shop.yaml", SHOP.replace("8080:80", "8081:80"))
    save(host, "--observed", "snapshot.json", "shop.yaml")
    host.netapply("up", "shop.plan")
    assert host.plan("shop.yaml") == []
    # A value that nobody could compare there is a step that nobody saw.
    host.write("shop.yaml", SHOP.replace("8080:80", "8082:80").replace(CANARY, "another"))
    host.write("snapshot.json", host.netapply("snapshot").stdout)
    save(host, "--observed", "snapshot.json", "shop.yaml")
    assert "the plan has no such step: delete process shop/web:command" in refused(host)


def test_the_key(saved: Host) -> None:
    key = saved.folder / "shop.plan.key"
    text = key.read_text()
    key.write_text("netapply-plan-key 00\n")
    assert "the key of another plan" in refused(saved)
    key.write_text("netapply-plan-key zz\n")
    assert "cannot be read" in refused(saved)
    key.unlink()
    assert "is missing" in refused(saved)
    key.write_text(text)
    saved.netapply("up", "shop.plan")


@pytest.mark.parametrize(
    ("old", "new"), [('"steps"', '"stops"'), ('"netapply_plan":2', '"netapply_plan":1'), ("}", ""), ('"create"', "1")]
)
def test_a_damaged_plan(saved: Host, old: str, new: str) -> None:
    text = (saved.folder / "shop.plan").read_text()
    assert old in text
    (saved.folder / "shop.plan").write_text(text.replace(old, new))
    said = refused(saved)
    assert said.startswith("error: shop.plan: ")
    assert "plan --out FILE" in said


def test_nothing_else_is_overwritten(host: Host) -> None:
    host.write("shop.yaml", SHOP)
    done = host.netapply("plan", "--out", "shop.yaml", "shop.yaml", check=False)
    assert (done.returncode, host.folder.joinpath("shop.yaml").read_text()) == (1, SHOP)
    host.write("tls.key", "the key to all")
    done = host.netapply("plan", "--out", "tls", "shop.yaml", check=False)
    assert (done.returncode, host.folder.joinpath("tls.key").read_text()) == (1, "the key to all")
    assert not host.folder.joinpath("tls").exists()


def test_what_the_plan_says_already_cannot_be_said_again(saved: Host) -> None:
    for option in (["-p", "x"], ["--adopt"], ["--dry-run"], ["--profile", "x"]):
        assert "is a saved plan" in refused(saved, *option, "shop.plan")
    done = saved.netapply("plan", "--base", "shop.yaml", "--out", "x", "shop.yaml", check=False)
    assert (done.returncode, (saved.folder / "x").exists()) == (1, False)
