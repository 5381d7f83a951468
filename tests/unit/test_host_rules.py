"""The rules that keep udev, NetworkManager and networkd off our links: they are ours, well formed, and `make` brings them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from reconciler.cli.service_files import RULE_PATHS, service_files
from reconciler.naming import BRIDGE_PREFIX, ENDPOINT_PREFIX, LINK_GROUP, interface_name

ROOT = Path(__file__).parents[2]
RULES = ROOT / "reconciler/cli/host_rules"
PLACES = {path.lstrip("/") for path in RULE_PATHS}
OURS = [interface_name(BRIDGE_PREFIX, "front", "shop"), interface_name(ENDPOINT_PREFIX, "web", "shop", "eth0")]
OTHERS = ["docker0", "br-3f2a", "veth12ab", "eth0", "nat0", "nvme0"]


def section(file_name: str, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters=("=",), strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # letters of either case differ there
    parser.read(RULES / file_name)
    return dict(parser[name])


def make(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    return subprocess.run(["make", "-s", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.founding("S2-33")
def test_make_brings_them_and_takes_them_away(tmp_path: Path) -> None:
    make("install-rules", f"DESTDIR={tmp_path}")
    assert files(tmp_path) == PLACES
    assert all((tmp_path / place).stat().st_mode & 0o777 == 0o644 for place in PLACES)
    assert {Path(place).name for place in PLACES} == {path.name for path in RULES.iterdir()}
    foreign = tmp_path / "etc/systemd/network/20-mine.network"
    foreign.write_text("[Match]\n")
    make("uninstall", f"DESTDIR={tmp_path}")
    assert files(tmp_path) == {"etc/systemd/network/20-mine.network"}


def test_the_service_brings_the_same(tmp_path: Path) -> None:
    make("install-rules", f"DESTDIR={tmp_path}")
    brought = service_files(["/srv"])
    assert {path: brought[path] for path in RULE_PATHS} == {
        path: (tmp_path / path.lstrip("/")).read_text() for path in RULE_PATHS
    }


def test_install_brings_them_with_the_program() -> None:
    planned = make("-n", "install", "DESTDIR=/staging").stdout
    for place in (*PLACES, "usr/local/lib/netapply", "usr/local/bin/netapply"):
        assert f"/staging/{place}" in planned


@pytest.mark.founding("S2-33")
@pytest.mark.parametrize(("file_name", "key"), [("10-netapply.link", "OriginalName"), ("10-netapply.network", "Name")])
def test_systemd_matches_our_names_and_no_others(file_name: str, key: str) -> None:
    patterns = section(file_name, "Match")[key].split()
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in OURS)
    assert not any(fnmatch(name, pattern) for name in OTHERS for pattern in patterns)


@pytest.mark.founding("S2-33")
def test_what_is_said_of_them() -> None:
    assert section("10-netapply.link", "Link") == {"NamePolicy": "keep", "MACAddressPolicy": "none"}
    assert (
        section("10-netapply.network", "Link") == section("10-netapply-marked.network", "Link") == {"Unmanaged": "yes"}
    )
    assert section("90-netapply.conf", "device-netapply") == {
        "match-device": "interface-name:na-*,interface-name:nv-*",
        "managed": "0",
    }


@pytest.mark.founding("S2-33")
def test_udev_knows_our_links_by_name_and_by_group() -> None:
    lines = [line for line in (RULES / "75-netapply.rules").read_text().splitlines() if not line.startswith("#")]
    word = re.compile(r'([A-Z]+(?:\{[A-Za-z_]+\})?)(==|!=|=)"([^"]*)"')
    rules = [[match.groups() for match in map(word.fullmatch, line.split(", ")) if match] for line in lines]
    assert [len(rule) for rule in rules] == [len(line.split(", ")) for line in lines], "each word is one of udev's"
    by_name, by_group = rules
    (names,) = (value for key, _, value in by_name if key == "KERNEL")
    assert all(any(fnmatch(name, pattern) for pattern in names.split("|")) for name in OURS)
    assert not any(fnmatch(name, pattern) for name in OTHERS for pattern in names.split("|"))
    assert ("ATTR{netdev_group}", "==", str(LINK_GROUP)) in by_group
    for rule in rules:
        assert {("ENV{ID_NETAPPLY}", "=", "1"), ("ENV{NM_UNMANAGED}", "=", "1")} <= set(rule)
    asked = section("10-netapply-marked.network", "Match")["Property"]
    assert asked == "ID_NETAPPLY=1"
