"""Folders above watched ones: what is heard of them, and what is not."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.watch.ancestors import Ancestors


@pytest.fixture
def ancestors() -> Iterator[Ancestors]:
    made = Ancestors()
    yield made
    made.close()


def heard(ancestors: Ancestors) -> bool:
    return bool(select.select([ancestors], [], [], 0)[0]) and ancestors.drain()


def test_a_folder_above_that_is_renamed_or_removed_is_heard(ancestors: Ancestors, tmp_path: Path) -> None:
    folder = tmp_path / "a/b/m"
    folder.mkdir(parents=True)
    assert ancestors.watch([str(folder)])
    assert not ancestors.watch([str(folder)])
    (tmp_path / "a/other").touch()
    (tmp_path / "other").mkdir()
    assert not heard(ancestors)
    (tmp_path / "a").rename(tmp_path / "aside")
    assert heard(ancestors)


def test_what_is_missing_is_heard_as_it_is_made_again(ancestors: Ancestors, tmp_path: Path) -> None:
    folder = tmp_path / "a/b/m"
    assert ancestors.watch([str(folder)])
    (tmp_path / "other").mkdir()
    assert not heard(ancestors)
    (tmp_path / "a").mkdir()
    assert heard(ancestors)
    assert ancestors.watch([str(folder)])
    draft = tmp_path / "draft"
    (draft / "m").mkdir(parents=True)
    assert not heard(ancestors)
    draft.rename(tmp_path / "a/b")
    assert heard(ancestors)
    assert ancestors.watch([str(folder)])
    (tmp_path / "a/b").rename(draft)
    assert heard(ancestors)


def test_two_paths_of_one_folder(ancestors: Ancestors, tmp_path: Path) -> None:
    (tmp_path / "real/there").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    ancestors.watch([str(tmp_path / "real/missing"), str(tmp_path / "link/there")])
    (tmp_path / "real/missing").mkdir()
    assert heard(ancestors)
