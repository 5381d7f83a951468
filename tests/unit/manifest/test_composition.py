"""Stacks out of several files: extends, include, files of variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import discover, load, stacks
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.manifest.model import Container, Manifest

Tree = dict[str, str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tree], None]:
    monkeypatch.chdir(tmp_path)

    def written(files: Tree) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return written


def faults_of(*files: str) -> tuple[Problem, ...]:
    with pytest.raises(NetapplyError) as caught:
        load(files, environment={})
    return caught.value.problems


def container(manifest: Manifest, name: str) -> Container:
    return next(each for each in manifest.containers if each.name == name)


def test_extends_in_the_same_file(write: Callable[[Tree], None]) -> None:
    write(
        {
            "a.yaml": """
containers:
  base: {hostname: base, ports: [80], expose: [1], environment: {A: 1, B: 1}, networks: [n]}
  middle: {extends: base, expose: [2], environment: [B=2], sysctls: {net.a: 1}}
  top:
    extends: {service: middle}
    command: [run]
    ports: !reset []
    expose: !override [3]
    networks: {n: {aliases: [t]}}
networks: {n: }
""",
        },
    )
    manifest = load(["a.yaml"], environment={})
    top = container(manifest, "top")
    assert (top.hostname, top.ports, top.expose, top.command) == ("base", (), ("3/tcp",), ("run",))
    assert top.environment == (("A", "1"), ("B", "2"))
    assert top.sysctls == (("net.a", "1"),)
    assert top.attachments[0].aliases == ("t",)
    assert container(manifest, "middle").expose == ("1/tcp", "2/tcp")
    assert str(container(manifest, "middle").ports[0].source) == "a.yaml:3:34"


def test_extends_from_another_file_and_a_base_file(write: Callable[[Tree], None]) -> None:
    write(
        {
            "a.yaml": "containers: {web: {extends: {file: lib/common.yaml, service: base}, hostname: www}, old: {hostname: o}}",
            "b.yaml": "containers: {new: {extends: old}}",
            "lib/common.yaml": "services: {base: {extends: root}, root: {rootfs: image, user: me}}\nnetworks: {not: imported}",
        },
    )
    manifest = load(["a.yaml", "b.yaml"], environment={})
    web = container(manifest, "web")
    assert (web.hostname, web.user) == ("www", "me")
    assert web.rootfs is not None
    assert web.rootfs.endswith("/lib/image")
    assert container(manifest, "new").hostname == "o"
    assert [network.key for network in manifest.networks] == ["default"]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("{a: {extends: b}, b: {extends: a}}", "1:44", "extends goes in a circle: a -> b -> a", "alone"),
        ("{a: {extends: a}}", "1:27", "extends goes in a circle: a -> a", ""),
        ("{a: {extends: bb}, bbb: }", "1:27", "extends 'bb', which is not in a.yaml", "did you mean 'bbb'?"),
        ("{a: {extends: {service: b, file: c.yaml}}}", "1:27", "c.yaml: no such file", ""),
        ("{a: {extends: {service: b, file: b.yaml}}}", "1:27", "extends 'b', which is not in b.yaml", ""),
        ("{a: {extends: {file: b.yaml}}}", "1:27", "'extends' names no container", "service: NAME"),
        ("{a: {extends: [b]}}", "1:27", "'extends' names no container", ""),
        ("{a: {extends: {service: b, fil: x}}, b: }", "1:27", "unknown key 'fil'", ""),
    ],
)
def test_bad_extends(write: Callable[[Tree], None], text: str, place: str, message: str, hint: str) -> None:
    write({"a.yaml": f"containers: {text}", "b.yaml": "containers: {x: }"})
    (fault,) = faults_of("a.yaml")
    assert message in fault.message
    assert str(fault.source) == f"a.yaml:{place}"
    assert hint in fault.hint


def test_a_fault_in_an_extended_file_has_its_place_there(write: Callable[[Tree], None]) -> None:
    write(
        {
            "a.yaml": "containers: {a: {extends: {service: b, file: lib/b.yaml}}}",
            "lib/b.yaml": "containers:\n  b: {ports: [x]}",
        },
    )
    (fault,) = faults_of("a.yaml")
    assert str(fault.source) == "lib/b.yaml:2:15"


def test_include(write: Callable[[Tree], None]) -> None:
    write(
        {
            "a.yaml": """
name: top
include:
  - db/stack.yaml
  - path: [mail/one.yaml, mail/two.yaml]
    env_file: mail/vars
containers:
  web: {networks: [back]}
  db: {hostname: local-wins}
""",
            "db/stack.yaml": "name: ignored\ncontainers: {db: {hostname: $NAME, user: $ABOVE, rootfs: root}}\nnetworks: {back: }",
            "db/.env": "NAME=from-dotenv\nABOVE=not-this",
            "mail/one.yaml": "include: [../deep/stack.yaml]\ncontainers: {mail: {hostname: $NAME}}",
            "mail/two.yaml": "containers: {mail: {user: me}}",
            "mail/vars": "NAME=from-vars",
            "deep/stack.yaml": "containers: {deep: {hostname: $NAME}}",
        },
    )
    manifest = load(["a.yaml"], environment={"ABOVE": "parent"})
    assert manifest.stack == "top"
    assert {each.name: each.hostname for each in manifest.containers} == {
        "db": "local-wins",
        "deep": "from-vars",
        "mail": "from-vars",
        "web": None,
    }
    database = container(manifest, "db")
    assert (database.user, container(manifest, "mail").user) == ("parent", "me")
    assert database.rootfs is not None
    assert database.rootfs.endswith("/db/root")
    assert [network.key for network in manifest.networks] == ["back", "default"]


def user_and_paths(each: Container) -> tuple[str | None, str]:
    """What the container got by extends, and its rootfs as seen from here."""
    return each.user, os.path.relpath(each.rootfs or "")


def test_relative_paths_in_an_included_stack_start_from_its_project_directory(write: Callable[[Tree], None]) -> None:
    body = "{rootfs: ./img, env_file: db.env, command: x, extends: {file: sub/e.yaml, service: e}}"
    write(
        {
            "a.yaml": "include: [{path: lib/c.yaml, project_directory: proj}, {path: [lib/one.yaml, o/two.yaml]}]",
            "lib/c.yaml": f"include: [sub/n.yaml]\nservices: {{c: {body}}}",
            "lib/one.yaml": "services: {one: {rootfs: img}}",
            "o/two.yaml": f"include: [sub/m.yaml]\nservices: {{two: {body}}}",
            "proj/db.env": "FROM=proj",
            "proj/sub/e.yaml": "services: {e: {extends: {file: deep/f.yaml, service: f}}, not: {rootfs: x}}",
            "proj/sub/deep/f.yaml": "services: {f: {user: proj}}",
            "proj/sub/n.yaml": "services: {n: {rootfs: img}}",
            "lib/db.env": "FROM=lib",
            "lib/sub/e.yaml": "services: {e: {user: lib}}",
            "lib/sub/m.yaml": "services: {m: {rootfs: img}}",
        },
    )
    manifest = load(["a.yaml"], environment={})
    assert {each.name: user_and_paths(each) for each in manifest.containers} == {
        "c": ("proj", "proj/img"),
        "n": (None, "proj/sub/img"),
        "one": (None, "lib/img"),
        "two": ("lib", "lib/img"),
        "m": (None, "lib/sub/img"),
    }
    assert container(manifest, "c").environment == (("FROM", "proj"),)
    assert container(manifest, "two").environment == (("FROM", "lib"),)


def test_relative_paths_in_all_files_of_a_stack_start_beside_the_first(write: Callable[[Tree], None]) -> None:
    write(
        {
            "b1/compose.yaml": "services: {a: {rootfs: img}, base: {rootfs: mine}}",
            "b2/compose.yaml": """
include: [sub/n.yaml]
services:
  a: {extends: {file: sub/e.yaml, service: e}}
  b: {rootfs: img}
  c: {extends: {file: ../b2/compose.yaml, service: b}}
  d: {extends: {file: compose.yaml, service: base}}
  e: {extends: b}
""",
            "b1/sub/e.yaml": "services: {e: {user: one}}",
            "b1/sub/n.yaml": "services: {n: {user: one}}",
        },
    )
    manifest = load(["b1/compose.yaml", "b2/compose.yaml"], environment={})
    assert {each.name: user_and_paths(each) for each in manifest.containers if each.rootfs} == {
        "a": ("one", "b1/img"),
        "base": (None, "b1/mine"),
        "b": (None, "b1/img"),
        "c": (None, "b2/img"),  # an extended file's own folder, even where it is one of the stack's
        "d": (None, "b1/mine"),
        "e": (None, "b1/img"),
    }
    assert container(manifest, "n").user == "one"


def test_a_file_that_extends_itself_by_its_name_goes_in_a_circle(write: Callable[[Tree], None]) -> None:
    write({"y/a.yaml": "services: {a: }", "x/b.yaml": "services: {b: {extends: {file: ../x/b.yaml, service: b}}}"})
    (fault,) = faults_of("y/a.yaml", "x/b.yaml")
    assert "extends goes in a circle: b -> b" in fault.message


def test_an_included_stack_does_not_give_its_name(write: Callable[[Tree], None]) -> None:
    write({"a.yaml": "include: [b.yaml]", "b.yaml": "name: other\ncontainers: {web: }"})
    manifest = load(["a.yaml"], environment={})
    assert (manifest.stack, manifest.named) == ("a", False)
    assert [each.name for each in manifest.containers] == ["web"]


@pytest.mark.parametrize(
    ("include", "place", "message"),
    [
        ("[a.yaml]", "a.yaml:1:11", "a.yaml includes itself"),
        ("[b.yaml]", "b.yaml:1:11", "a.yaml includes itself"),
        ("[c.yaml]", "a.yaml:1:11", "c.yaml: no such file"),
        ("b.yaml", "a.yaml:1:10", "'include' takes a list"),
        ("[{env_file: x}]", "a.yaml:1:11", "an inclusion without a path"),
        ("[{path: d.yaml, pth: x}]", "a.yaml:1:26", "unknown key 'pth'"),
        ("[{path: d.yaml, env_file: x}]", "a.yaml:1:11", "x: no such file"),
        ("[e.yaml]", "e.yaml:1:26", "'x' is not a port"),
    ],
)
def test_bad_include(write: Callable[[Tree], None], include: str, place: str, message: str) -> None:
    write(
        {
            "a.yaml": f"include: {include}\ncontainers: {{w: }}",
            "b.yaml": "include: [a.yaml]\ncontainers: {b: }",
            "d.yaml": "containers: {d: }",
            "e.yaml": "containers: {d: {ports: [x]}}",
        },
    )
    (fault,) = faults_of("a.yaml")
    assert message in fault.message
    assert str(fault.source or "") == place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("# comment\n\n  \nA=1 # why\nB=1#2", {"A": "1", "B": "1#2"}),
        ("export A=1", {"A": "1"}),
        ("A: yaml", {"A": "yaml"}),
        ("A=", {"A": ""}),
        ("A='$X \\n # as it is'", {"A": "$X \\n # as it is"}),
        ("A='Let\\'s go!'\nB='\\\\' # c\nC=it's", {"A": "Let's go!", "B": "\\\\", "C": "it's"}),
        ("1BAD=x", {"1BAD": "x"}),
        ("A= \"x\"\nB='x'#c", {"A": "x", "B": "x"}),
        ('A="a\\nb \\"q\\" \\$X $OUT" # c', {"A": 'a\nb "q" $X outer'}),
        ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
        ("A=1\nB=${A}-${C:-d}", {"A": "1", "B": "1-d"}),
        ("OUT\nGONE", {"OUT": "outer"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("a.b-c=1", {"a.b-c": "1"}),
    ],
)
def test_dotenv(text: str, expected: dict[str, str]) -> None:
    faults = Faults()
    assert parse_dotenv(text, "f", {"OUT": "outer"}, faults) == expected
    assert not faults.errors


@pytest.mark.parametrize(
    ("text", "message", "found"),
    [
        ('A=1\nB="x\nC=2', "B has a quoted value without its end", ["A", "C"]),
        ("A=1\nB= 'C:\\'\nC=2", "B has a quoted value without its end", ["A", "C"]),
        ('A=1\nB="x" trailing\nC=2', "text after the closing quote of B", ["A", "C"]),
        ("A=1\nB='x\ny' 'z'\nC=2", "text after the closing quote of B", ["A", "C"]),
    ],
)
def test_bad_quotes_in_dotenv(text: str, message: str, found: list[str]) -> None:
    faults = Faults()
    assert list(parse_dotenv(text, "f", {}, faults)) == found
    assert [(str(each.source), each.message) for each in faults.errors] == [("f:2:1", message)]
    # With raw, quotes mean themselves.
    assert parse_dotenv(text, "f", {}, Faults(), raw=True)["B"].strip() in text


def test_a_variable_in_dotenv_that_is_not_set_is_warned_of() -> None:
    faults = Faults()
    assert parse_dotenv("A=1\nPW=pa$word\nB=${C:-$A}", "f", {}, faults) == {"A": "1", "PW": "pa", "B": "1"}
    (warning,) = faults.warnings
    assert str(warning.source) == "f:2:1"
    assert warning.message == "the value of PW has a variable that is not set; empty text stands for it"
    assert parse_dotenv("A='pa$word'\nB=pa$$word", "f", {}, faults) == {"A": "pa$word", "B": "pa$word"}


@pytest.mark.parametrize("text", ["A=1\n=2", "A=1\n!x\nB=2", "A=1\nB=${\nC=3"])
def test_bad_dotenv_lines_have_their_place(text: str) -> None:
    faults = Faults()
    found = parse_dotenv(text, "f", {}, faults)
    assert found["A"] == "1"
    assert [str(each.source) for each in faults.errors] == ["f:2:1"]


def test_the_environment_goes_before_dotenv(write: Callable[[Tree], None]) -> None:
    write({"a.yaml": "containers: {web: {hostname: $A, user: $B}}", ".env": "A=file\nB=file", "other": "B=other"})
    web = load(["a.yaml"], environment={"A": "process"}).containers[0]
    assert (web.hostname, web.user) == ("process", "file")
    web = load(["a.yaml"], environment={"A": "process"}, env_files=["other"]).containers[0]
    assert (web.hostname, web.user) == ("process", "other")
    web = load(["a.yaml"], environment={"COMPOSE_DISABLE_ENV_FILE": "1"}).containers[0]
    assert (web.hostname, web.user) == (None, None)


def test_the_name_of_the_stack_is_a_variable(write: Callable[[Tree], None]) -> None:
    text = "containers: {web: {hostname: '${COMPOSE_PROJECT_NAME}-x'}}"
    write({"a.yaml": text, "b.yaml": "name: my-${X:-y}", "c.yaml": f"include: [a.yaml]\nname: c\n{text}"})

    def host_name(*files: str, stack_name: str | None = None, **environment: str) -> str | None:
        return load(files, stack_name=stack_name, environment=environment).containers[0].hostname

    assert host_name("a.yaml") == "a-x"
    assert host_name("a.yaml", "b.yaml") == "my-y-x"
    assert host_name("c.yaml") == "c-x"
    assert host_name("a.yaml", "b.yaml", COMPOSE_PROJECT_NAME="p") == "p-x"
    assert host_name("a.yaml", "b.yaml", stack_name="given", COMPOSE_PROJECT_NAME="p") == "given-x"


def test_a_bad_name_from_the_environment_says_so(write: Callable[[Tree], None]) -> None:
    write({"a.yaml": "containers: {web: }"})
    with pytest.raises(NetapplyError) as caught:
        load(["a.yaml"], environment={"COMPOSE_PROJECT_NAME": "My_Proj"})
    (fault,) = caught.value.problems
    assert "My_Proj" in fault.message
    assert "COMPOSE_PROJECT_NAME" in fault.message


def test_warnings_come_with_errors(write: Callable[[Tree], None]) -> None:
    write({"a.yaml": "containers: {web: {ports: [$PORT]}}"})
    with pytest.raises(NetapplyError) as caught:
        load(["a.yaml"], environment={})
    (warning,) = caught.value.warnings
    assert warning.message == "variable PORT is not set; empty text stands for it"
    assert [each.message for each in caught.value.problems] == ["'' names no port of the container"]


def test_containers_that_stand_at_the_top(write: Callable[[Tree], None]) -> None:
    write({"a.yaml": "services:\nweb:\n  image: x\nother:\n  a: b\n"})
    web, other = sorted(faults_of("a.yaml"), key=lambda fault: fault.message, reverse=True)
    assert (web.message, "belongs under services:" in web.hint) == ("unknown key 'web'", True)
    assert (other.message, "belongs under services:" in other.hint) == ("unknown key 'other'", False)


def test_the_default_dotenv_of_an_included_stack_knows_the_variables_of_the_stack(
    write: Callable[[Tree], None],
) -> None:
    files = {"c/c.yaml": "containers: {c: {hostname: $H}}", "c/.env": "H=${P:-lost}"}
    write({"a.yaml": "include: [c/c.yaml]", **files})
    assert load(["a.yaml"], environment={"P": "parent"}).containers[0].hostname == "parent"


def test_the_dotenv_that_names_the_files_serves_what_stands_in_them(write: Callable[[Tree], None]) -> None:
    write(
        {
            "sub/compose.yaml": "services: {c: {hostname: '${A:?unset}-${B:?unset}', user: '$U'}}",
            ".env": "COMPOSE_FILE=sub/compose.yaml\nA=here\nB=here",
            "sub/.env": "B=there\nU=${A}-there",
        },
    )
    (manifest,) = stacks([], environment={"A": "run"})
    assert (manifest.containers[0].hostname, manifest.containers[0].user) == ("run-here", "run-there")
    # A file that is named needs nothing of where the run was started.
    with pytest.raises(NetapplyError, match="variable A is not set"):
        stacks(["sub/compose.yaml"], environment={})


def test_dotenv_may_name_files_stack_and_profiles(write: Callable[[Tree], None]) -> None:
    write(
        {
            "one.yaml": "containers: {a: , b: {profiles: [p]}}",
            "two.yaml": "containers: {c: }",
            ".env": "COMPOSE_FILE=one.yaml:two.yaml\nCOMPOSE_PROJECT_NAME=named\nCOMPOSE_PROFILES=p",
        },
    )
    (manifest,) = stacks([], environment={})
    assert (manifest.stack, manifest.named) == ("named", True)
    assert [each.name for each in manifest.containers] == ["a", "b", "c"]
    with pytest.raises(NetapplyError):
        discover(".", {})
