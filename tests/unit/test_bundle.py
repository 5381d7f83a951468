"""The OCI bundle: what the command may do, whom it runs as, what it sees of the host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.actions import StartProcess
from reconciler.errors import NetapplyError
from reconciler.kernel.runtime_bundle import Identity, configuration, identity, submounts
from reconciler.kernel.runtime_records import Records
from reconciler.kernel.runtime_tool import error_lines
from reconciler.resources.process import Process

START = StartProcess(
    container="shop/web1",
    namespace="shop/web1",
    command=("python3", "-m", "http.server"),
    environment=(("TOKEN", "canary"),),
    working_dir="",
    user="",
    rootfs="",
    hostname="web1",
)
ROOT = Identity(0, 0, (), "/root")


def built(start: StartProcess = START, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"root": "rootfs", "cgroup": "/c", "namespace_path": Path("/run/netns/shop.web1")}
    return configuration(start, ROOT, **{**arguments, **changes})


def mounts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in config["mounts"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:33:www:/var/www:/bin/false\n"
    )
    (tmp_path / "etc/group").write_text("root:x:0:\nwww:x:33:web\nmedia:x:44:other,web\n")
    return tmp_path


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (), "/root")),
        ("root", Identity(0, 0, (), "/root")),
        ("web", Identity(33, 33, (44,), "/var/www")),
        ("33", Identity(33, 33, (44,), "/var/www")),
        ("web:media", Identity(33, 44, (), "/var/www")),
        ("web:7", Identity(33, 7, (), "/var/www")),
        ("1234", Identity(1234, 0, (), "/")),
        ("1234:media", Identity(1234, 44, (), "/")),
    ],
)
def test_a_user_is_found_in_the_files_of_its_root(root: Path, user: str, expected: Identity) -> None:
    assert identity(user, root) == expected


@pytest.mark.parametrize(("user", "named"), [("nobody-here", "passwd"), ("web:nogroup-here", "group")])
def test_an_unknown_name_is_said_with_the_file_it_is_missing_from(root: Path, user: str, named: str) -> None:
    with pytest.raises(NetapplyError, match=f"{user.rpartition(':')[2]}.*{root}/etc/{named}"):
        identity(user, root)


def test_a_root_without_passwd_takes_numbers_only(tmp_path: Path) -> None:
    assert identity("5:6", tmp_path) == Identity(5, 6, (), "/")
    with pytest.raises(NetapplyError, match="root"):
        identity("root", tmp_path)


def test_the_command_cannot_change_networks_nor_make_devices() -> None:
    process = built()["process"]
    for allowed in process["capabilities"].values():
        assert not {"CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_PTRACE"} & set(allowed)
        assert {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"} <= set(allowed)
    assert process["noNewPrivileges"] is True


@pytest.mark.founding("S2-04", "S4-01", "S4-09", "S4-26")
def test_it_joins_the_sandbox_and_has_the_other_namespaces_to_itself() -> None:
    namespaces = built()["linux"]["namespaces"]
    assert {"type": "network", "path": "/run/netns/shop.web1"} in namespaces
    assert {item["type"] for item in namespaces if "path" not in item} == {"pid", "mount", "uts", "ipc"}
    assert all(item["type"] != "network" for item in built(namespace_path=None)["linux"]["namespaces"])


def test_secrets_of_the_host_are_hidden_only_where_its_files_show() -> None:
    masked = built()["linux"]["maskedPaths"]
    assert {"/etc/shadow", "/etc/ssh", "/proc/kcore"} <= set(masked)
    assert {"/root", "/run"} <= mounts(built()).keys()
    own = built(replace(START, rootfs="/srv/root"), host_mounts=["/home"])
    assert "/etc/shadow" not in own["linux"]["maskedPaths"]
    assert not {"/root", "/run", "/home"} & mounts(own).keys()


def test_mounts_of_the_host_and_files_of_ours_are_read_only() -> None:
    found = mounts(built(host_mounts=["/home"], files={"/etc/hosts": Path("/run/netapply/1/hosts")}))
    assert found["/etc/hosts"]["source"] == "/run/netapply/1/hosts"
    for inside in ("/home", "/etc/hosts"):
        assert {"bind", "ro", "nosuid", "nodev"} <= set(found[inside]["options"])


def test_given_environment_wins_over_the_defaults() -> None:
    variables = built(replace(START, environment=(("HOME", "/srv"), ("TOKEN", "canary"))))["process"]["env"]
    assert [item for item in variables if item.startswith("HOME=")] == ["HOME=/srv"]
    assert {"HOSTNAME=web1", "TOKEN=canary"} <= set(variables)


def test_submounts_are_files_of_the_host_in_order() -> None:
    lines = [
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
        "2 1 8:2 / /home/a\\040b rw shared:1 - xfs /dev/sda2 rw",
        "3 1 0:9 / /home rw - btrfs /dev/sda3 rw",
        "4 1 0:3 / /proc rw - proc proc rw",
        "5 1 0:4 / /run rw - tmpfs tmpfs rw",
        "6 5 0:5 net:[1] /run/netns/x rw - nsfs nsfs rw",
        "7 1 0:6 / /mnt/slow rw - fuse.sshfs you@there rw",
        "8 1 0:7 / /root/secret rw - ext4 /dev/sdb rw",
        "9 1 0:8 / /home rw - ext4 /dev/sdc rw",
        "10 1 0:8 / /runner rw - ext4 /dev/sdd rw",
        "11 1 0:8 / /net rw - autofs systemd-1 rw",
    ]
    assert submounts("\n".join(lines)) == ("/home", "/home/a b", "/runner")


@pytest.mark.parametrize("name", ["web1", "shop/", "/web1", "shop/../web1", "shop/.new-web1", "a/b/c", "../x"])
def test_a_name_that_is_no_part_of_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NetapplyError, match="not a container's name"):
        Records.of(tmp_path, name)


def test_only_errors_are_taken_from_the_runtimes_log() -> None:
    lines = [json.dumps({"level": "warning", "msg": "old"}), json.dumps({"level": "error", "msg": "no such file"})]
    assert error_lines("\n".join([*lines, "not JSON"])) == ["no such file", "not JSON"]


def test_values_of_the_environment_are_compared_and_never_shown() -> None:
    process = Process("shop", "shop/web1", ("x",), "shop/web1", (("A", "canary"), ("B", "b")))
    other = replace(process, environment=(("A", "other"), ("B", "b"), ("C", "c")))
    assert process != other
    assert other.changed_environment(process) == ("A", "C")
    shown = [repr(process), str(process.record()), process.describe(), repr(process.create()), repr(process.delete())]
    assert "canary" not in "".join(shown)
    assert "'A'" in str(process.record())


def test_what_is_started_is_what_the_manifest_says() -> None:
    (start,) = Process("shop", "shop/web1", ("x", "y"), "shop/web1", (("A", "1"),), "/srv", "web", "/r", "h").create()
    assert start == StartProcess("shop/web1", "shop/web1", ("x", "y"), (("A", "1"),), "/srv", "web", "/r", "h")
