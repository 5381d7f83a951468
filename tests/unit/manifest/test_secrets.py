"""What of a manifest's text can be shown: not the lines that hold environment values."""

from __future__ import annotations

import pytest

from reconciler.manifest.secrets import without_secrets


@pytest.mark.parametrize(
    "text",
    [
        "containers:\n  a:\n    environment:\n      A: c4nary\n    prots: []\n",
        "containers:\n  a:\n    environment:\n      - A=c4nary\n    prots: []\n",
        "containers:\n  a: {environment: {A: c4nary}}\n  b: {prots: []}\n",
        "containers:\n  a:\n    environment:\n      A: |\n        x\n        c4nary\n\n        c4nary\n    prots: []\n",
        'containers:\n  a:\n    environment:\n      A: "x\n        c4nary"\n    prots: []\n',
        "x-e: &e\n  A: c4nary\ncontainers:\n  a:\n    environment: *e\n    prots: []\n",
        "x-e: &e\n  A: c4nary\ncontainers:\n  a:\n    environment:\n      <<: *e\n      B: c4nary\n    prots: []\n",
        "x-e: &e [A=c4nary]\nservices:\n  a:\n    environment: *e\n    prots: []\n",
        "services:\n  a:\n    prots: []\n    x-netapply:\n      environment:\n        A: c4nary\n",
        "services:\n  a:\n    build:\n      args:\n        A: c4nary\n    prots: []\n",
        "services:\n  a:\n    build: {args: [A=c4nary]}\n    prots: []\n",
        "secrets:\n  a:\n    content: |\n      x\n      c4nary\nservices:\n  a:\n    prots: []\n",
        # Given twice: what comes second is in no tree.
        "services:\n  a:\n    environment:\n      A: 1\n      A: c4nary\n    prots: []\n",
        "services:\n  a:\n    environment: {A: 1}\n    prots: []\n    environment: {A: c4nary}\n",
        # Mistyped, so that a fault stands right there.
        "services:\n  a:\n    enviroment: {A: c4nary}\n    prots: []\n",
        "services:\n  a:\n    Environment:\n      - A=c4nary\n    prots: []\n",
        "services:\n  a:\n    env:\n      A: c4nary\n    prots: []\n",
        "services:\n  a:\n    environment-variables:\n      A: |\n        c4nary\n    prots: []\n",
        "services:\n  a:\n    envrionment: {A: 1}\n    prots: []\n    envrionment: {A: c4nary}\n",
        "services:\n  a:\n    build: {arg: [A=c4nary]}\n    prots: []\n",
        "secrets:\n  a:\n    contents: c4nary\nservices:\n  a:\n    prots: []\n",
    ],
)
def test_no_value_is_left(text: str) -> None:
    shown = without_secrets(text.encode(), "a.yaml")
    assert shown is not None
    assert "c4nary" not in shown
    assert "prots: []" in shown
    assert shown.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A=c4nary\n'\n", None),
        ("# A\nA=c4nary\n", None),
        ("A: c4nary\nenvironment: {\n", None),
        ("content: c4nary\na: {\n", None),
        ("enviroment: {A: c4nary\n", None),
        ("env_file: a\nports: [{target: 80}]\na: {\n", "env_file: a\nports: [{target: 80}]\na: {\n"),
        ("containers: {a: [}\n", "containers: {a: [}\n"),
        ("containers: {a: }\n", "containers: {a: }\n"),
    ],
)
def test_what_is_no_manifest(text: str, shown: str | None) -> None:
    assert without_secrets(text.encode(), "a.yaml") == shown
