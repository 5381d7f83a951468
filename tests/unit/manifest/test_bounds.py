"""Manifests that lead in circles or grow when they are put together: a message, soon and in little memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import NetapplyError, Problem
from reconciler.manifest import load
from reconciler.manifest.canonical import render
from reconciler.manifest.circles import circles
from reconciler.manifest.context import _MOST_PORTS
from reconciler.manifest.dotenv import parse_dotenv
from reconciler.manifest.faults import Faults

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.manifest.model import Manifest
    from tests.unit.manifest.conftest import FaultsOf, LoadText


def loaded(folder: Path, files: dict[str, str], first: str, **environment: str) -> Manifest:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return load([first], environment=environment)


def faults(folder: Path, files: dict[str, str], first: str) -> tuple[Problem, ...]:
    with pytest.raises(NetapplyError) as caught:
        loaded(folder, files, first)
    return caught.value.problems


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_extends_in_a_circle_through_two_folders(folder: Path) -> None:
    files = {
        "A/a.yaml": "services: {a: {extends: {file: ../B/b.yaml, service: b}}}",
        "B/b.yaml": "services: {b: {extends: {file: ../A/a.yaml, service: a}}}",
    }
    (fault,) = faults(folder, files, "A/a.yaml")
    assert fault.message == "extends goes in a circle: a of A/a.yaml -> b of B/b.yaml -> a of A/a.yaml"
    assert str(fault.source) == "B/b.yaml:1:25"


@pytest.mark.parametrize("way", ["x/../a.yaml", "./a.yaml", "{here}/a.yaml"])
def test_one_file_under_several_names(folder: Path, way: str) -> None:
    text = f"services: {{a: {{extends: {{file: '{way.format(here=folder)}', service: a}}}}}}"
    (fault,) = faults(folder, {"a.yaml": text}, "a.yaml")
    assert "extends goes in a circle: a -> a" in fault.message
    (fault,) = faults(folder, {"a.yaml": f"include: ['{way.format(here=folder)}']"}, "a.yaml")
    assert "includes itself" in fault.message


@pytest.mark.timeout(20)
def test_a_long_chain_of_extends(load_text: LoadText, faults_of: FaultsOf) -> None:
    def chain(length: int) -> str:
        links = "".join(f"  c{n}: {{extends: c{n + 1}, sysctls: {{net.core.a{n}: 1}}}}\n" for n in range(length))
        return f"services:\n{links}  c{length}: {{user: '7'}}\n"

    first = load_text(chain(99)).containers[0]
    assert (first.user, len(first.sysctls)) == ("7", 99)
    found = [fault for fault in faults_of(chain(3000)) if "extends" in fault.message]
    assert [fault.message for fault in found] == ["extends goes over more than 100 containers"]


@pytest.mark.timeout(20)
def test_bases_that_explode(faults_of: FaultsOf) -> None:
    pairs = ", ".join(f"K{n}: v" for n in range(3000))
    users = "".join(f"  c{n}: {{extends: base}}\n" for n in range(3000))
    begin = time.process_time()
    fault = faults_of(f"services:\n  base: {{environment: {{{pairs}}}}}\n{users}")[0]
    assert fault.message == "what is taken over by extends is more than 2000000 values"
    assert time.process_time() - begin < 8


@pytest.mark.timeout(20)
def test_includes_of_includes(folder: Path) -> None:
    """Eight of the same file in each of nine levels would be 134 million inclusions."""
    files = {f"{n}.yaml": f"include: [{', '.join([f'{n + 1}.yaml'] * 8)}]\nservices: {{s{n}: }}" for n in range(9)}
    manifest = loaded(folder, {**files, "9.yaml": "services: {s9: }"}, "0.yaml")
    assert len(manifest.containers) == 10
    many = ", ".join(f"{{path: b.yaml, project_directory: d{n}}}" for n in range(1001))
    (fault,) = faults(folder, {"a.yaml": f"include: [{many}]", "b.yaml": "services: {b: }"}, "a.yaml")
    assert fault.message == "more than 1000 inclusions in one stack"


def test_a_deep_chain_of_includes_is_no_circle(folder: Path) -> None:
    files = {f"{n}.yaml": f"include: [{n + 1}.yaml]" for n in range(30)}
    (fault,) = faults(folder, files, "0.yaml")
    assert fault.message == "21.yaml is included by way of more than 20 files"


def test_a_circle_by_way_of_the_second_file_of_an_inclusion(folder: Path) -> None:
    files = {
        "a.yaml": "include: [{path: [c.yaml, b.yaml]}]",
        "b.yaml": "include: [a.yaml]",
        "c.yaml": "services: {c: }",
    }
    (fault,) = faults(folder, files, "a.yaml")
    assert (str(fault.source), fault.message) == (
        "b.yaml:1:11",
        "a.yaml includes itself: a.yaml -> b.yaml -> a.yaml",
    )
    files["a.yaml"] = "include: [{path: [c.yaml, a.yaml]}]"
    (fault,) = faults(folder, files, "a.yaml")
    assert (str(fault.source), fault.message) == ("a.yaml:1:11", "a.yaml includes itself")


@pytest.mark.parametrize("name", ["https://x.example/c.yaml", "git@x.example:a/b.git", "oci://x/y"])
def test_what_is_elsewhere_is_not_fetched(folder: Path, name: str) -> None:
    expected = f"'{name}' is not a file of this host: remote manifests are not supported"
    for text in (f"include: ['{name}']", f"include: [{{path: ['{name}']}}]"):
        assert [fault.message for fault in faults(folder, {"a.yaml": text}, "a.yaml")] == [expected]
    text = f"services: {{a: {{extends: {{file: '{name}', service: b}}}}}}"
    assert [fault.message for fault in faults(folder, {"a.yaml": text}, "a.yaml")] == [expected]


def test_variables_that_double(folder: Path) -> None:
    lines = ["A0=xxxxxxxxxx", *(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}" for n in range(1, 40))]
    found = faults(folder, {".env": "\n".join(lines), "a.yaml": "services: {a: {user: $A39}}"}, "a.yaml")
    assert (str(found[0].source), found[0].message) == (
        ".env:16:1",
        "variables that stand for more than 262144 characters",
    )


def test_one_long_variable_many_times(folder: Path) -> None:
    """Four thousand values of 200 000 characters would be 800 MB."""
    long = f"X={'x' * 200_000}\n"
    text = f"services: {{a: }}\nx-y: [{'$X,' * 4000}]"
    (fault,) = faults(folder, {".env": long, "a.yaml": text}, "a.yaml")
    assert str(fault.source) == "a.yaml:2:127"
    assert fault.message == "with this one, the values with variables in this stack exceed 8388608 characters"
    lines = "".join(f"A{n}=$X\n" for n in range(4000))
    (fault,) = faults(folder, {".env": long + lines, "a.yaml": "services: {a: }"}, "a.yaml")
    assert str(fault.source) == ".env:42:1"
    files = {"e": long + lines, ".env": "", "a.yaml": "services: {a: {command: x, env_file: e}}"}
    (fault,) = faults(folder, files, "a.yaml")
    assert str(fault.source) == f"{folder}/e:42:1"


@pytest.mark.parametrize("text", ["services: {a: }", "services: {a: {command: x, env_file: .env}}"])
def test_a_file_of_variables_that_is_too_large(folder: Path, text: str) -> None:
    """What is left of it after the bound would be another environment, without a word."""
    files = {".env": "A=1\n" * (1024 * 1024) + "B=2\n", "a.yaml": text}
    assert "the file has more than 4 MiB" in faults(folder, files, "a.yaml")[0].message


def test_one_file_of_variables_for_many(folder: Path) -> None:
    users = "".join(f"  c{n}: {{command: x, env_file: e}}\n" for n in range(40))
    found = faults(folder, {"e": "A=" + "x" * 1_000_000, "a.yaml": f"services:\n{users}"}, "a.yaml")
    assert any(fault.message == "the files that are asked for exceed 32 MiB" for fault in found)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "".join(f"A{n}=$A\n" for n in range(60_000)),
        f"A=x{' ' * 300_000}y\n",
        f'A="{"xy" * 1_000_000}"\n',
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_large_files_of_variables(text: str, raw: bool) -> None:
    begin = time.process_time()
    parse_dotenv(text, "e", {"A": "1"}, Faults(), raw=raw)
    assert time.process_time() - begin < 3


@pytest.mark.timeout(60)
def test_many_ports(load_text: LoadText, faults_of: FaultsOf) -> None:
    begin = time.process_time()
    text = render(load_text("services: {a: {ports: [1-65535]}}"))
    assert text.count("target:") == 65535
    assert time.process_time() - begin < 10
    for each in ("{scale: 4, ports: [1-65535]}", "{expose: [1-65535], scale: 4, publish_all: true}"):
        fault = faults_of(f"services: {{a: {each}}}")[0]
        assert fault.message == f"more than {_MOST_PORTS} ports are published"


def test_thousands_of_unknown_keys(faults_of: FaultsOf) -> None:
    begin = time.process_time()
    first, *others = faults_of("services:\n a:\n" + "".join(f"  k{n}: 1\n" for n in range(20_000)))
    assert str(first).startswith("error: 20000 faults, of which 500 are shown\n  hint: ")
    assert [str(fault.source) for fault in others] == [f"a.yaml:{n + 3}:3" for n in range(500)]
    assert time.process_time() - begin < 3


def test_thousands_of_warnings(load_text: LoadText) -> None:
    options = ", ".join(f"k{n}" for n in range(2000))
    found = load_text(f"services: {{a: {{networks: [n], dns_opt: [{options}]}}}}\nnetworks: {{n: }}").warnings
    assert len(found) == 501
    assert str(found[-1]) == "warning: 1500 more warnings are not shown"


def services(form: str, count: int) -> str:
    """Many services of one form, in which I is the number of each and NEXT that of the following one."""
    lines = (form.replace("NEXT", str(n + 1)).replace("I", str(n)) for n in range(count))
    return "services:\n" + "".join(f"  s{n}: {line}\n" for n, line in enumerate(lines))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "form",
    [
        "{links: [qI]}",
        "{network_mode: 'service:qI'}",
        "{depends_on: [qI]}",
        "{extends: qI}",
        "{command: x, pid: 'service:qI'}",
        "{networks: {default: {gateway: 'service:qI'}}}",
    ],
)
def test_thousands_of_names_that_are_not_there(faults_of: FaultsOf, form: str) -> None:
    """Each is like all that are there, which are compared for the first of them only."""
    begin = time.process_time()
    found = faults_of(services(form, 3000))
    assert found[0].message == "3000 faults, of which 500 are shown"
    assert found[1].hint.startswith("did you mean 's")
    assert time.process_time() - begin < 6


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "form",
    [
        "{network_mode: 'service:sNEXT'}",
        "{command: x, ipc: 'service:sNEXT'}",
        "{networks: {default: {gateway: 'service:sNEXT'}}}",
        "{depends_on: [sNEXT]}",
    ],
)
def test_long_chains(load_text: LoadText, faults_of: FaultsOf, form: str) -> None:
    chain = services(form, 3000)
    begin = time.process_time()
    assert len(load_text(f"{chain}  s3000: {{command: x}}\n").containers) == 3001
    (fault,) = faults_of(f"{chain}  s3000: {form.replace('NEXT', '0')}\n")
    assert "goes in a circle" in fault.message
    assert fault.message.count(" -> ") == 3001
    assert time.process_time() - begin < 6


def test_thousands_of_further_addresses(load_text: LoadText) -> None:
    addresses = ", ".join(f"169.254.{n // 250}.{n % 250 + 1}" for n in range(3000))
    begin = time.process_time()
    load_text(f"services: {{a: {{networks: {{n: {{link_local_ips: [{addresses}]}}}}}}}}\nnetworks: {{n: }}")
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": ["b"], "b": ["c"]}, []),
        ({"a": ["a"]}, [["a"]]),
        ({"t": ["b"], "a": ["b"], "b": ["c"], "c": ["a"]}, [["a", "b", "c"]]),
        ({"a": ["b", "c"], "b": ["a"], "c": ["d"], "d": ["c"]}, [["a", "b"], ["c", "d"]]),
        ({"a": ["b", "c"], "b": [], "c": ["b", "a"]}, [["a", "c"]]),
    ],
)
def test_circles(graph: dict[str, list[str]], expected: list[list[str]]) -> None:
    assert list(circles(graph)) == expected
