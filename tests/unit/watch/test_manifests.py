"""The manifests of watched directories, and the folders in which they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.watch.folders import folders_of
from reconciler.watch.manifests import Manifests, supposed_name

GOOD = "containers: {one: {network_mode: none}}\n"


@pytest.fixture
def known(tmp_path: Path) -> Manifests:
    (tmp_path / "a.yaml").write_text(GOOD)
    manifests = Manifests([str(tmp_path)], {})
    assert manifests.scan() == {"a"}
    return manifests


def test_an_unchanged_directory_changes_nothing(known: Manifests, tmp_path: Path) -> None:
    os.utime(tmp_path / "a.yaml")
    assert known.scan() == frozenset()
    (tmp_path / "a.yaml").write_text(f"# a comment\n{GOOD}")
    assert known.scan() == frozenset()


def test_a_change_within_one_tick_is_seen(known: Manifests, tmp_path: Path) -> None:
    status = (tmp_path / "a.yaml").stat()
    (tmp_path / "a.yaml").write_text(GOOD.replace("{one", "{two"))
    os.utime(tmp_path / "a.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known.scan() == {"a"}


def test_a_broken_file_keeps_its_last_good_manifest(known: Manifests, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("containers: [")
    assert known.scan() == frozenset()
    assert known.stacks()["a"].containers[0].name == "one"
    assert known.problems()[str(tmp_path / "a.yaml")]
    (tmp_path / "a.yaml").write_text(GOOD)
    known.scan()
    assert known.problems() == {}


def test_stacks_are_marked_with_their_directory(known: Manifests, tmp_path: Path) -> None:
    assert known.stacks()["a"].origin == str(tmp_path)
    assert known.real_path_of("a") == str((tmp_path / "a.yaml").resolve())


def test_a_directory_that_cannot_be_read_keeps_its_stacks(known: Manifests, tmp_path: Path) -> None:
    tmp_path.rename(tmp_path.with_name("aside"))
    try:
        assert known.scan() == frozenset()
        assert "No such file" in known.directories[str(tmp_path)].fault
    finally:
        tmp_path.with_name("aside").rename(tmp_path)
    assert known.scan() == frozenset()
    assert known.directories[str(tmp_path)].fault == ""


def test_who_comes_second_does_not_get_the_name(known: Manifests, tmp_path: Path) -> None:
    (tmp_path / "0first.yaml").write_text(f"name: a\n{GOOD.replace('{one', '{two')}")
    assert known.scan() == frozenset()
    assert known.file_of("a") == str(tmp_path / "a.yaml")
    assert "two stacks are named 'a'" in str(known.problems()[str(tmp_path / "0first.yaml")][0])


def test_which_of_two_is_meant_is_known_from_before_or_not_at_all(known: Manifests, tmp_path: Path) -> None:
    (tmp_path / "0first.yaml").write_text(f"name: a\n{GOOD.replace('{one', '{two')}")
    later = Manifests([str(tmp_path)], {})
    later.remember({"a": str(tmp_path / "a.yaml")})
    later.scan()
    assert later.stacks() == known.stacks()
    forgetful = Manifests([str(tmp_path)], {})
    assert forgetful.scan() == {"a"}
    assert forgetful.stacks() == {}
    assert forgetful.unusable() == {"a": (str(tmp_path / "0first.yaml"), str(tmp_path / "a.yaml"))}
    assert all("two stacks are named 'a'" in str(found) for found in forgetful.problems().values())
    assert all(found[-1].hint.endswith("name: a-2") for found in forgetful.problems().values())
    (tmp_path / "a.yaml").unlink()
    assert forgetful.scan() == {"a"}
    assert forgetful.file_of("a") == str(tmp_path / "0first.yaml")


def test_a_file_that_is_broken_from_the_start_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("containers: [")
    (tmp_path / "b.yaml").write_text(f"name: shop\n{GOOD}")
    known = Manifests([str(tmp_path)], {})
    known.remember({"shop": str(tmp_path / "a.yaml")})
    known.scan()
    assert known.unusable() == {"shop": (str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))}
    known.remember({})
    known.scan()
    assert known.unusable() == {"a": (str(tmp_path / "a.yaml"),)}
    assert known.stacks().keys() == {"shop"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("containers: [", "my-app"),
        ("name: shop  # ours\ncontainers: [", "shop"),
        ("name: 'shop'\ncontainers: {a: {prots: 1}}", "shop"),
        ("name: ${NAME}\ncontainers: [", ""),
    ],
)
def test_the_name_that_a_broken_file_seems_to_have(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "My-App.yaml").write_text(text)
    assert supposed_name(str(tmp_path / "My-App.yaml")) == name


def test_variables_that_come_and_go(known: Manifests, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("containers: {one: {network_mode: none, hostname: '${NAME:-x}'}}\n")
    known.scan()
    (tmp_path / ".env").write_text("NAME=y\n")
    assert known.scan() == {"a"}
    (tmp_path / ".env").unlink()
    assert known.scan() == {"a"}


def test_a_poll_sees_what_stat_says(known: Manifests, tmp_path: Path) -> None:
    assert known.scan(thorough=False) == frozenset()
    (tmp_path / "a.yaml").write_text(GOOD.replace("{one", "{three"))
    assert known.scan(thorough=False) == {"a"}
    (tmp_path / "a.yaml").unlink()
    assert known.scan(thorough=False) == {"a"}


def test_the_folders_of_every_link_on_the_way(tmp_path: Path) -> None:
    for folder in ("watched", "elsewhere", "far"):
        (tmp_path / folder).mkdir()
    (tmp_path / "far/real.yaml").write_text(GOOD)
    (tmp_path / "elsewhere/link.yaml").symlink_to("../far/real.yaml")
    (tmp_path / "watched/a.yaml").symlink_to(tmp_path / "elsewhere/link.yaml")
    found = folders_of([str(tmp_path / "watched/a.yaml")])
    assert {str(tmp_path / name) for name in ("watched", "elsewhere", "far")} <= found


def test_a_link_that_leads_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    assert str(tmp_path) in folders_of([str(tmp_path / "a.yaml")])
