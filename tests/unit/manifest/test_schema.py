"""The published JSON Schema: current, complete, and what it says of manifests is what the loader says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from reconciler.cli import schema as schema_command
from reconciler.errors import NetapplyError
from reconciler.manifest import load, meanings, schema, vocabulary
from reconciler.manifest.canonical import canonical
from reconciler.manifest.nodes import Mapping, Node, Scalar
from reconciler.manifest.reading import read
from reconciler.manifest.shapes import YOURS
from tests.corpus import outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "schemas" / "netapply.schema.json"
RECORDED = outcomes.recorded()
GOOD = sorted(file for file, outcome in RECORDED.items() if outcome == outcomes.OK)
IN_PROSE = ("#/properties/include/oneOf/", "extends/oneOf/", "#/$defs/external/", "x-netapply")
"""What the guide says of these stands in no table."""
EXAMPLES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "manifests").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    document = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def plain(node: Node | None) -> Any:
    """The document as any YAML reader sees it."""
    if node is None or isinstance(node, Scalar):
        return node.value if node else None
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    return [plain(item) for item in node.items]


def faults(validator: Draft202012Validator, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:100]}" for error in validator.iter_errors(document)]


def test_what_is_published_is_current() -> None:
    assert PUBLISHED.read_text() == schema.text(), "netapply schema > schemas/netapply.schema.json"


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(schema_command.command).output == PUBLISHED.read_text()


def keys_of(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that the schema knows, with what it says of it."""
    if isinstance(part, list):
        for index, each in enumerate(part):
            yield from keys_of(each, f"{place}/{index}")
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "properties":
                yield from ((f"{place}/{name}", about) for name, about in value.items())
            if key not in {"default", "examples"}:
                yield from keys_of(value, f"{place}/{key}")


def parts_of(part: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of the schema."""
    if isinstance(part, list | dict):
        if isinstance(part, dict):
            yield part
        for each in part if isinstance(part, list) else part.values():
            yield from parts_of(each)


def test_every_key_has_a_description_a_default_and_an_example() -> None:
    keys = dict(keys_of(schema.schema()))
    assert len(keys) > 380
    lacking = [
        place
        for place, about in keys.items()
        if not about.get("description") or "default" not in about or not about.get("examples")
    ]
    assert lacking == []
    assert [place for place, about in keys.items() if about["examples"] == [None]] == []


def test_keys_have_names_that_editors_complete() -> None:
    """Beside ``x-`` no key hides in a pattern, and that one says what it is."""
    patterns = [
        (key, about.get("description"))
        for part in parts_of(schema.schema())
        for key, about in part.get("patternProperties", {}).items()
    ]
    assert len(patterns) > 40
    assert set(patterns) == {("^x-", YOURS)}


def test_what_the_table_of_meanings_says_is_of_keys_that_there_are() -> None:
    unused = (
        *(vocabulary.UNUSED_TOP, vocabulary.UNUSED_CONTAINER, vocabulary.UNUSED_DEPLOY, vocabulary.UNUSED_NETWORK),
        *(vocabulary.UNUSED_IPAM, vocabulary.UNUSED_PORT),
    )
    assert set().union(*unused) == meanings.TOP.keys()
    text = schema.text()
    assert [key for key, (about, _) in meanings.NESTED.items() if f'"{about}; not used by netapply."' not in text] == []


def test_the_guide_explains_every_key() -> None:
    guide = (ROOT / "docs" / "manifest.md").read_text()
    unused = "not used by netapply"
    missing = [
        place
        for place, about in keys_of(schema.schema())
        if unused not in about["description"]
        and f"| `{place.rpartition('/')[2]}` | {about['description']} |" not in guide
        and not any(part in place for part in IN_PROSE)
    ]
    assert missing == []


def test_its_own_examples_and_defaults_are_valid(validator: Draft202012Validator) -> None:
    document = schema.schema()
    for place, about in keys_of(document):
        own = Draft202012Validator({"$defs": document["$defs"], **about}) if "#/$defs" in json.dumps(about) else None
        for value in [*about["examples"], *([] if about["default"] is None else [about["default"]])]:
            whole = {"$ref": "#"} in about.get("anyOf", ())
            found = list((own or Draft202012Validator({} if whole else about)).iter_errors(value))
            assert not found, (place, value)
    assert faults(validator, {}) == []


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_examples_are_valid(validator: Draft202012Validator, file: str) -> None:
    assert faults(validator, plain(read((ROOT / file).read_bytes(), file).root)) == []


@pytest.mark.parametrize("file", GOOD)
def test_the_good_files_of_the_corpus_and_their_canonical_forms_are_valid(
    validator: Draft202012Validator, file: str
) -> None:
    path = outcomes.FILES / file
    assert faults(validator, plain(read(path.read_bytes(), file).root)) == []
    assert faults(validator, canonical(load([path], stack_name="corpus", environment={}))) == []


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"nework": {}}, "$"),
        ({"services": {"web": {"imgae": "x"}}}, "$.services.web"),
        ({"services": {"web": {"ports": "80:80"}}}, "$.services.web.ports"),
        ({"services": {"web": {"ports": [{"published": 80}]}}}, "$.services.web.ports[0]"),
        ({"services": {"web": {"links": {"a": 1}}}}, "$.services.web.links"),
        ({"networks": {"n": {"ipam": {"config": [{"subnet": []}]}}}}, "$.networks.n.ipam.config[0].subnet"),
        ({"networks": {"n": {"internal": 1}}}, "$.networks.n.internal"),
        ({"include": [{"pth": "x"}]}, "$.include[0]"),
        ({"services": {"web": {"extends": {"file": "x"}}}}, "$.services.web.extends"),
        ({"services": {"web": {"x-netapply": {"prots": []}}}}, "$.services.web['x-netapply']"),
    ],
)
def test_faults_are_found(validator: Draft202012Validator, document: Any, place: str) -> None:
    def leaves(errors: Any) -> Iterator[Any]:
        for error in errors:
            yield error
            yield from leaves(error.context or ())

    assert place in {error.json_path for error in leaves(validator.iter_errors(document))}


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("services: {_a: , a.-_b: }", True),
        ("services: {-a: }", False),
        ("services: {.a: {profiles: [none]}}", False),
        ("networks: {_n: }", True),
        ("networks: {a b: }", False),
        (f"containers: {{{'a' * 64}: }}", False),
        ("containers: {a: {x-netapply: }}", True),
        ("containers: {a: {ports: [{target: 80, x-netapply: }]}}", True),
        ("containers: {a: {env_file: [null]}}", False),
        ("containers: {a: {env_file: , rootfs: }}", True),
        ("containers: {a: {init: 1}}", False),
        ("containers: {a: {init: 'Yes', rm: 'false', command: x}}", True),
        ("containers: {a: {init: maybe}}", False),
        ("containers: {a: {rm: maybe}}", False),
        ("containers: {a: {rm: 1, command: x}}", False),
        ("networks: {n: {enable_ipv6: 1}}", False),
        ("networks: {n: {enable_ipv6: '1'}}", True),
        ("containers: {a: {networks: {default: {priority: true}}}}", False),
        ("containers: {a: {networks: {default: {priority: -5, gw_priority: '-5'}}}}", True),
        ("containers: {a: {attach: {pid: true}}}", False),
        ("containers: {a: {scale: true}}", False),
        ("containers: {a: {scale: '1_0'}}", False),
        ("containers: {a: {scale: -1}}", False),
        ("containers: {a: {scale: '-1'}}", False),
        ("containers: {a: {scale: 1001}}", False),
        ("containers: {a: {deploy: {replicas: '+2'}}}", True),
        ("containers: {a: {oom_score_adj: x}}", False),
        ("containers: {a: {oom_score_adj: true}}", False),
        ("containers: {a: {oom_score_adj: -500, cpus: '.5', mem_swappiness: 0x10}}", True),
        ("containers: {a: {cpus: 1_0}}", False),
        ("containers: {a: {restart: false}}", False),
        ("containers: {a: {restart: no}}", True),
        ("containers: {a: {restart: 'on-failure:3'}}", True),
        ("containers: {a: {restart: sometimes}}", False),
        ("containers: {a: {restart: '${R:-no}', scale: '${S:-2}', rm: '${X:-no}', oom_score_adj: '${O:-1}'}}", True),
    ],
)
def test_the_loader_says_the_same(validator: Draft202012Validator, tmp_path: Path, text: str, is_good: bool) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert (faults(validator, plain(read(text, "a.yaml").root)) == []) is is_good
    if is_good:
        load([file], environment={})
    else:
        with pytest.raises(NetapplyError):
            load([file], environment={})
