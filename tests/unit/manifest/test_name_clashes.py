"""Names that lead to several containers of one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import LoadText


def test_an_alias_that_is_another_containers_name(load_text: LoadText) -> None:
    text = """
        containers:
          a: {networks: {n: {aliases: [b, shared]}, m: }}
          b: {networks: {n: {aliases: [SHARED]}}}
          c: {networks: {m: {aliases: [b]}}}
        networks: {n: , m: }
    """
    (warning,) = load_text(text).warnings
    assert (
        "alias 'b' of container 'a' on network 'n' is also the name of the container at a.yaml:4:3" in warning.message
    )
    assert str(warning.source) == "a.yaml:3:32"


@pytest.mark.parametrize(
    ("one", "other", "place", "message"),
    [
        ("web: {}", "Web: {}", 3, "container 'Web' on network 'default' has the name of the container at a.yaml:2:3"),
        (
            "web: {}",
            "d: {hostname: WEB}",
            17,
            "host name 'WEB' of container 'd' on network 'default' is also the name of the container at a.yaml:2:3",
        ),
        ("web: {}", "d: {hostname: web.example.org}", 17, "host name 'web' of container 'd'"),
        ("c: {hostname: x}", "d: {hostname: X}", 17, "is also the host name of container 'c' at a.yaml:2:17"),
        (
            "c: {container_name: x}",
            "d: {hostname: X}",
            17,
            "is also the container_name of container 'c' at a.yaml:2:23",
        ),
        ("web: {}", "d: {container_name: Web}", 23, "is also the name of the container at a.yaml:2:3"),
        ("c: {hostname: x}", "d: {networks: {default: {aliases: [X]}}}", 38, "is also the host name of container 'c'"),
        ("web: {scale: 2}", "d: {networks: {default: {aliases: [Web]}}}", 38, "name of the container at a.yaml:2:3"),
    ],
)
def test_two_containers_of_one_name(load_text: LoadText, one: str, other: str, place: int, message: str) -> None:
    (warning,) = load_text(f"containers:\n  {one}\n  {other}\n").warnings
    assert message in warning.message
    assert str(warning.source) == f"a.yaml:3:{place}"


@pytest.mark.parametrize(
    "text",
    [
        "{web: {networks: [n]}, Web: {networks: [m]}}",
        "{web: {networks: [n], hostname: web, container_name: web}, b: {networks: [n]}}",
        "{a: {scale: 2, hostname: x}, b: {networks: {default: {aliases: [y]}}}}",
        "{a: {networks: {n: {aliases: [x]}}}, b: {networks: {n: {aliases: [x]}}}}",
    ],
)
def test_what_leads_to_one_or_is_shared_on_purpose(load_text: LoadText, text: str) -> None:
    assert not load_text(f"containers: {text}\nnetworks: {{n: , m: }}").warnings


def test_two_networks_in_common_are_one_warning(load_text: LoadText) -> None:
    text = "containers: {a: {networks: [n, m]}, A: {networks: [n, m]}}\nnetworks: {n: , m: }"
    assert len(load_text(text).warnings) == 1
