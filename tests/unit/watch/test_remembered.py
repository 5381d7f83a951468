"""What a watcher remembers over its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.naming import origin_of
from reconciler.watch.remembered import Place, Remembered

PLACE = Place("/m/a.yaml", "/m", "0123456789abcdef")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watched.json"


def test_the_next_one_knows_it(path: Path) -> None:
    mine = Remembered(path)
    mine.places, mine.held = {"a": PLACE}, {"b": "why"}
    mine.save()
    assert path.stat().st_mode & 0o777 == 0o600
    other = Remembered(path)
    assert (other.places, other.held) == ({"a": PLACE}, {"b": "why"})
    other.held = {}
    other.save()
    mine.refresh()
    assert mine.held == {}
    mine.places = {}
    mine.save()
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"places": {"a": 1}, "held": {}}', '{"places": {"a": {}}, "held": {}}']
)
def test_what_is_no_record_says_nothing(path: Path, text: str) -> None:
    path.write_text(text)
    found = Remembered(path)
    assert (found.places, found.held) == ({}, {})


def test_where_it_cannot_be_written_it_is_tried_again(path: Path) -> None:
    mine = Remembered(path)
    mine.held = {"a": "why"}
    path.mkdir()
    mine.save()
    path.rmdir()
    mine.save()
    assert Remembered(path).held == {"a": "why"}


def test_what_was_made_anew_by_somebody_is_not_remembered(path: Path) -> None:
    found = Remembered(path)
    found.places = {"a": PLACE, "b": PLACE}
    assert found.of({"a": PLACE.origin, "b": "of somebody else"}) == {"a": PLACE}


def test_what_a_watcher_kept_is_its_own_wherever_it_stands_now(path: Path) -> None:
    found = Remembered(path)
    first = Place("/m/a.yaml", "/m", origin_of("/m"))
    by_hand = Place("/m/b.yaml", "/m", origin_of("/hand.yaml"))
    standing = {"a": first.origin, "b": by_hand.origin}
    found.note(standing, {"a": first, "b": by_hand}, (), adopt=False)
    assert found.places == {"a": first}
    moved = Place("/n/a.yaml", "/n", first.origin)
    found.note(standing, {"a": moved, "b": by_hand}, (), adopt=True)
    assert found.places == {"a": moved, "b": by_hand}
    found.note({}, {}, {"a"}, adopt=False)
    assert found.places == {"a": moved}
