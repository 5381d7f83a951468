"""Keys that have no effect here are still read: a wrong kind of value in one is said, at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from reconciler.manifest import vocabulary

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText


PUBLISHED = json.loads((Path(__file__).parents[3] / "schemas" / "netapply.schema.json").read_text())


@pytest.mark.parametrize(
    ("written", "place", "message", "hint"),
    [
        ("image: [nginx]", 18, "'image' takes text, not a list", ""),
        ("image: {name: nginx}", 18, "'image' takes text, not a mapping", ""),
        ("tty: maybe", 23, "'tty' takes true or false, not 'maybe'", ""),
        ("cpus: many", 24, "'cpus' takes a number, not 'many'", ""),
        ("cgroup: hots", 26, "'cgroup' takes host, private, not 'hots'", "did you mean 'host'?"),
        ("volumes: data:/data", 27, "'volumes' takes a list, not a single value", ""),
        ("volumes: [{source: a}]", 28, "'type' of 'volumes' is missing", "add type:"),
        ("volumes: [{type: bnd}]", 35, "'type' takes bind, volume, tmpfs", "did you mean 'bind'?"),
        ("volumes: [[a]]", 28, "'volumes' takes text or a mapping, not a list", ""),
        ("build: [.]", 18, "'build' takes text or a mapping, not a list", ""),
        ("build: {contxt: .}", 26, "unknown key 'contxt' of 'build'", "did you mean 'context'?"),
        ("build: {args: secret}", 32, "'args' takes a list or a mapping, not a single value", ""),
        ("healthcheck: {test: x, intervall: 5s}", 41, "unknown key 'intervall' of 'healthcheck'", "'interval'"),
        ("healthcheck: {retries: often}", 41, "'retries' takes a number, not 'often'", ""),
        ("depends_on: db", 30, "'depends_on' takes a list or a mapping, not a single value", ""),
        ("depends_on: {db: {condition: ready}}", 47, "'condition' takes service_started, ", ""),
        ("depends_on: [{db: }]", 31, "'depends_on' takes text, not a mapping", ""),
        ("ulimits: {nofile: {soft: 1}}", 28, "'hard' of 'nofile' is missing", "add hard:"),
        ("logging: {options: [a]}", 28, "'options' takes a mapping, not a list", ""),
        ("labels: x", 26, "'labels' takes a list or a mapping, not a single value", ""),
        ("labels: {a: [x]}", 27, "'a' takes text, not a list", ""),
        ("deploy: {resources: {limits: {memroy: 1g}}}", 48, "unknown key 'memroy' of 'limits'", "'memory'"),
        ("develop: {watch: [{path: .}]}", 36, "'action' of 'watch' is missing", "add action:"),
        ("tmpfs: {a: b}", 18, "'tmpfs' takes text or a list, not a mapping", ""),
        ("cap_add: NET_RAW", 27, "'cap_add' takes a list, not 'NET_RAW'", "[NET_RAW]"),
        ("privileged: maybe", 30, "'privileged' takes true or false, not 'maybe'", ""),
    ],
)
def test_wrong_types(faults_of: FaultsOf, written: str, place: int, message: str, hint: str) -> None:
    (fault,) = faults_of(f"services: {{web: {{{written}}}, db: }}")
    assert message in fault.message
    assert hint in fault.hint
    assert str(fault.source) == f"a.yaml:1:{place}"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("volumes: [data]", "1:1", "'volumes' takes a mapping, not a list"),
        ("volumes: {data: {drivr: x}}", "1:18", "unknown key 'drivr' of 'data'"),
        ("secrets: {s: text}", "1:14", "'s' takes a mapping, not a single value"),
        ("version: [3]", "1:1", "'version' takes text, not a list"),
        ("networks: {n: {labels: 5}}", "1:24", "'labels' takes a list or a mapping, not a single value"),
        ("networks: {n: {attachable: maybe}}", "1:28", "'attachable' takes true or false, not 'maybe'"),
        ("services: {web: {ports: [{target: 80, mode: [x]}]}}", "1:39", "'mode' takes text, not a list"),
    ],
)
def test_wrong_types_elsewhere(faults_of: FaultsOf, text: str, place: str, message: str) -> None:
    (fault,) = faults_of(text)
    assert message in fault.message
    assert str(fault.source) == f"a.yaml:{place}"


def test_every_form_that_compose_takes(load_text: LoadText) -> None:
    load_text("""\
        version: 3
        services:
          web:
            image:
            build: {context: ., args: [A=1], ssh: default, secrets: [a, {source: b, mode: 0440}], ulimits: {nproc: 5}}
            depends_on: {db: {condition: service_healthy, required: true}}
            deploy: {mode: global, resources: {reservations: {devices: [{capabilities: [gpu]}]}}, x-a: 1}
            healthcheck: {test: [CMD, "true"], interval: 1m30s, retries: "3", disable: no}
            ulimits: {nofile: {soft: 1, hard: 2}, nproc: "65535"}
            tmpfs: /run
            gpus: all
            group_add: [1000, adm]
            volumes: [a:/a, {type: bind, source: ., target: /x, bind: {create_host_path: true}, x-b: }]
            logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}
            tty: "${UNSET}"
            init: yes
            privileged: on
            mem_limit: 50M
            cpus: "0.5"
            labels: {a: , b: 1, c: true}
            develop: {watch: [{path: ., action: sync, ignore: [x]}]}
            post_start: [{command: [a, b], environment: {A: }}]
            x-anything: [1]
          db: {build: ., depends_on: [], gpus: [{driver: nvidia, count: 1, capabilities: [gpu]}]}
        volumes: {data: , more: {external: true}, old: {external: {name: x}, driver_opts: {size: 1}}}
        secrets: {a: {environment: A}, b: {file: ./b}}
        configs: {c: {content: x}}
    """)


def test_forms_may_differ_between_files_because_nothing_is_made_of_them(load_text: LoadText) -> None:
    load_text(
        "services: {web: {build: ., depends_on: [db]}, db: }",
        "services: {web: {build: {context: .}, depends_on: !reset null, image: !reset [x]}}",
    )


def test_texts_of_secrets_are_not_shown(faults_of: FaultsOf) -> None:
    faults = faults_of("services: {web: {build: {args: c4nary}, labels: c4nary, post_start: [{environment: c4nary}]}}")
    assert len(faults) == 4
    assert not any("c4nary" in str(fault) for fault in faults)


@pytest.mark.parametrize("key", sorted(vocabulary.UNUSED_CONTAINER))
def test_the_schema_says_the_same(key: str) -> None:
    """The published schema and the loader agree on which of the forms a key takes."""
    shape = vocabulary.UNUSED_CONTAINER[key]
    validator = Draft202012Validator(PUBLISHED["$defs"]["container"]["properties"][key])
    assert validator.is_valid(None)
    assert validator.is_valid([]) == (shape.items is not None)
    assert validator.is_valid({}) == (bool(shape.values) or (shape.fields is not None and not shape.required))
    assert not validator.is_valid({"x": {"y": [[{}]]}})
