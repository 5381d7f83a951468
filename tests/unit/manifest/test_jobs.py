"""``rm: true``: nothing in the stack may rely on what is gone when its command has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.manifest.conftest import FaultsOf, LoadText

STACK = """\
networks: {{n: {{}}}}
containers:
  job: {{networks: [n], command: [sleep, "1"], rm: {remove}}}
  side: {{{use}}}
"""
USES = {
    "network_mode: service:job": ("4:24", "'side' joins it"),
    "network_mode: container:job": ("4:24", "'side' joins it"),
    "networks: [n], links: [other, job:task]": ("4:40", "'side' links to it"),
    "networks: {n: {gateway: service:job}}": ("4:34", "'side' goes through it"),
    "command: [x], networks: [n], ipc: service:job": ("4:44", "'side' shares its ipc namespace"),
}


@pytest.mark.parametrize("use", USES)
def test_a_job_is_nothing_to_rely_on(faults_of: FaultsOf, load_text: LoadText, use: str) -> None:
    place, what = USES[use]
    fault = next(each for each in faults_of(STACK.format(use=use, remove="true")) if "rm: true" in each.message)
    assert f"{fault.source}" == f"a.yaml:{place}"
    assert fault.message == f"container 'job' is removed when it ends (rm: true at a.yaml:3:47), and {what}"
    load_text(STACK.format(use=use.replace("other, ", ""), remove="false"))


def test_a_job_itself_may_rely_on_others(load_text: LoadText) -> None:
    load_text("containers: {web: {}, job: {network_mode: 'service:web', command: [x], rm: true}}")
