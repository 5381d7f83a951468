"""The manifests that the README shows are manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText

README = Path(__file__).parents[3] / "README.md"
SHOWN = [text for text in re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL) if "containers:" in text]


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_shown_can_be_used(load_text: LoadText, text: str) -> None:
    assert len(SHOWN) > 1
    manifest = load_text(text, TOKEN="t")  # noqa: S106 - the example's variable, not a password
    assert manifest.containers
    assert not manifest.warnings
