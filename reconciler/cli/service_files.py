"""What `install-service` brings to a system: two units of systemd, and rules that keep others off our interfaces."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.resources import files

from reconciler.errors import NetapplyError
from reconciler.kernel.control_group import UNIT_NAME

WATCH_UNIT = "netapply-watch.service"

UNIT_PATHS = tuple(f"/etc/systemd/system/{name}" for name in (WATCH_UNIT, UNIT_NAME))
RULE_PATHS = (
    "/etc/udev/rules.d/75-netapply.rules",
    "/etc/systemd/network/10-netapply.link",
    "/etc/systemd/network/10-netapply.network",
    "/etc/systemd/network/10-netapply-marked.network",
    "/etc/NetworkManager/conf.d/90-netapply.conf",
)
"""As `make install-rules` has them."""

START_SECONDS = 300

_WATCH = """\
# Written by: netapply install-service
[Unit]
Description=Keeps container networking like {directories} (netapply)
# What loads rules of others comes first, for some of them flush all.
After=network-pre.target nftables.service iptables.service netfilter-persistent.service ufw.service firewalld.service
Wants=network-pre.target
# Where the containers' commands live, which go on while this service stops and starts.
Requires={processes}
After={processes}
{mounts}
[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
WatchdogSec=120
TimeoutStartSec={seconds}
# Where control groups are not those of version 2, containers' commands stay in that of this service: they are neither
# ended with it, nor is it ended when one of them takes too much memory.
KillMode=process
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536
SyslogIdentifier=netapply
{state}# All that crun, iptables and `watch` itself need. Whatever else a service can be forbidden would either put it into a
# mount namespace of its own (ProtectSystem=, PrivateTmp=, …), and namespaces pinned there would be seen by nobody else;
# or be passed on to the commands of containers (SystemCallFilter=, RestrictAddressFamilies=, LockPersonality=, …).
CapabilityBoundingSet={capabilities}
UMask=0077

[Install]
WantedBy=multi-user.target
"""

_CAPABILITIES = (
    "CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_MKNOD"
    " CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_RAW CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID"
    " CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_SYS_MODULE CAP_SYS_PTRACE CAP_SYS_RESOURCE"
)

_STATE = """\
# Where the repository's last good commit stands, also after a reboot.
StateDirectory=netapply
StateDirectoryMode=0700
"""

_PROCESSES = """\
# Written by: netapply install-service
[Unit]
Description=Commands of netapply's containers, and its agent

[Service]
# netapply moves here what it starts, be it from netapply-watch.service or by hand; the command only keeps the control
# group, which would go when it is empty, and its end is not that of the others.
ExecStart=/bin/sleep infinity
ExitType=cgroup
Delegate=yes
# Those that do not see SIGTERM, as the first process of a container does unless it asks for it, end after so long.
TimeoutStopSec=10
OOMPolicy=continue
TasksMax=infinity
"""


def service_files(
    paths: Sequence[str], options: Sequence[str] = (), before: Sequence[str] = (), *, repository: bool = False
) -> dict[str, str]:
    """Path and text of all that is installed, for a service that watches these directories.

    ``options`` are those of `watch`, ``before`` those of the command `netapply` itself; ``repository``: they name one.
    Raises NetapplyError for a word that no unit can hold.
    """
    texts = (_watch_unit(paths, options, before, repository=repository), _PROCESSES)
    return dict(zip(UNIT_PATHS, texts, strict=True)) | {path: _rule(path) for path in RULE_PATHS}


def _watch_unit(paths: Sequence[str], options: Sequence[str], before: Sequence[str], *, repository: bool) -> str:
    # The interpreter that runs now has what is needed; a command's name may lead elsewhere tomorrow.
    words = [sys.executable, "-P", "-s", "-m", "reconciler", "--log-format", "json", *before, "watch", *options, *paths]
    mounts = " ".join(_quoted(path).replace("$$", "$") for path in paths)
    return _WATCH.format(
        # Not at the end of the line: a backslash there would make the next one part of it.
        directories=" ".join(path.replace("%", "%%") for path in paths) or "a git repository",
        command=" ".join(_quoted(word) for word in words),
        processes=UNIT_NAME,
        mounts=f"RequiresMountsFor={mounts}\n" if paths else "",
        seconds=START_SECONDS,
        capabilities=_CAPABILITIES,
        state=_STATE if repository else "",
    )


def _rule(path: str) -> str:
    return files("reconciler.cli").joinpath("host_rules", path.rpartition("/")[2]).read_text(encoding="utf-8")


def _quoted(word: str) -> str:
    """As systemd.syntax(7) wants it: percent and dollar signs doubled, C-style quotes where needed."""
    if any(ord(letter) < 32 for letter in word):  # noqa: PLR2004 - below the space are control characters
        raise NetapplyError.of(f"{word!r} holds a control character")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if shlex.quote(word) == word else f'"{word}"'
