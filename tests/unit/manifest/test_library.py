"""netapply as a library: what it exports, and that importing it costs nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import reconciler
from reconciler import (
    NetapplyError,
    canonical_manifest,
    load_manifest,
    manifest_schema,
    plan,
    plan_document,
    plan_text,
    read_observation,
)
from reconciler.cli import config
from reconciler.manifest import schema

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "library.md"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.yaml"
    path.write_text("name: shop\ncontainers: {web: {ports: [8080:80], user: $WHO}, debug: {profiles: [debug]}}\n")
    return path


def test_a_plan_from_a_file_without_a_host(shop: Path) -> None:
    manifest = load_manifest(shop, environment={"WHO": "me"}, profiles=["debug"])
    assert [container.name for container in manifest.containers] == ["web", "debug"]
    made = plan(manifest, observation=read_observation(None))
    assert "stack shop" in plan_text(made)
    document = plan_document(made, manifest)
    assert document["stacks"] == ["shop"]
    assert document["summary"]["create"] == len([c for c in document["changes"] if c["action"] == "create"]) > 0


def test_the_process_environment_is_the_default(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "root")
    assert load_manifest(shop).containers[0].user == "root"


def test_canonical_form_and_schema_are_those_of_the_commands(shop: Path) -> None:
    shown = CliRunner().invoke(config.command, ["--format", "json", str(shop)]).stdout
    assert canonical_manifest(load_manifest(shop)) == json.loads(shown)
    assert manifest_schema() == schema.schema()


def test_errors_have_places(shop: Path) -> None:
    shop.write_text("containers: {web: {prots: []}}")
    with pytest.raises(NetapplyError) as caught:
        load_manifest(shop)
    assert [str(problem.source) for problem in caught.value.problems] == [f"{shop}:1:20"]


def test_misuse_is_told_in_words(shop: Path) -> None:
    with pytest.raises(NetapplyError, match="no manifest is named"):
        load_manifest()
    (shop.parent / "other.yaml").write_text("name: shop\ncontainers: {web: }\n")
    one, other = load_manifest(shop), load_manifest("other.yaml")
    message = f"two stacks are named 'shop': {shop} and {shop.parent}/other.yaml"
    with pytest.raises(NetapplyError, match=re.escape(message)):
        plan(one, other, observation=read_observation(None))
    with pytest.raises(NetapplyError, match=re.escape(message)):
        reconciler.up(one, other)
    nothing: object
    for nothing in ([], {}, "", 0, False):
        with pytest.raises(NetapplyError):
            read_observation(nothing)


def test_one_name_need_not_be_in_a_list(shop: Path) -> None:
    (shop.parent / "vars").write_text("WHO=me\n")
    for env_files in ("vars", Path("vars"), ["vars"]):
        manifest = load_manifest(shop, environment={}, profiles="debug", env_files=env_files)
        assert [(each.name, each.user) for each in manifest.containers] == [("web", "me"), ("debug", None)]


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    return done.stdout.strip()


def test_everything_named_is_there_and_documented() -> None:
    guide = GUIDE.read_text()
    for name in reconciler.__all__:
        value = getattr(reconciler, name)
        assert value.__doc__, name
        assert f"`{name}" in guide, name
    with pytest.raises(AttributeError, match="nothing"):
        _ = reconciler.nothing


@pytest.mark.parametrize(
    "before", ["", "import reconciler.plan", "from reconciler.plan import text", "import reconciler.reconcile"]
)
def test_plan_is_the_function_whatever_was_imported_before(before: str) -> None:
    code = f"{before}\nfrom reconciler import plan\nfrom reconciler.plan import text\nprint(type(plan).__name__)"
    assert in_a_fresh_process(code) == "function"


def test_importing_it_imports_nothing_else_of_ours() -> None:
    code = (
        "import sys, reconciler; print([m for m in sys.modules if m.startswith(('reconciler.', 'pydantic', 'ruamel'))])"
    )
    assert in_a_fresh_process(code) == "[]"


def test_the_guide_runs(tmp_path: Path) -> None:
    """The guide's code that needs no host does what it says."""
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "shop.yaml").write_text("name: shop\ncontainers: {web: {ports: [8080:80]}}\n")
    run = [code for code in examples if "# needs root" not in code]
    assert len(run) >= 2
    code = "\n".join(["import os, sys", f"sys.path.insert(0, {str(ROOT)!r})", f"os.chdir({str(tmp_path)!r})", *run])
    assert "stack shop" in in_a_fresh_process(code)
