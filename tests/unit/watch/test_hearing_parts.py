"""What is heard and says nothing new, and what a watcher does not keep in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.netlink import constants as c
from reconciler.netlink.encode import link_header, nest, text, u8, u32
from reconciler.watch.inotify import CREATE, IGNORED, MODIFY, Inotify
from reconciler.watch.link_news import LinkNews

_IFLA_OPERSTATE, _IFLA_CARRIER_CHANGES, _IFLA_PROTINFO = 16, 35, 12
_AF_BRIDGE = 7


def said(news: LinkNews, body: bytes, kind: int = c.RTM_NEWLINK, number: int = -1) -> bool:
    return news.tells(number, body, kind, 0, len(body))


def link(*attributes: bytes, flags: int = c.IFF_UP) -> bytes:
    return link_header(flags, index=7) + text(c.IFLA_IFNAME, "nv-web") + b"".join(attributes)


def port(*attributes: bytes) -> bytes:
    body = bytearray(link_header(index=7) + u32(c.IFLA_MASTER, 3) + nest(_IFLA_PROTINFO, *attributes))
    body[0] = _AF_BRIDGE
    return bytes(body)


def test_a_carrier_and_counters_are_no_news() -> None:
    news = LinkNews()
    assert said(news, link(u8(_IFLA_OPERSTATE, 2)))
    assert not said(news, link(u8(_IFLA_OPERSTATE, 6), u32(_IFLA_CARRIER_CHANGES, 9)))
    assert said(news, link(), number=4)


@pytest.mark.parametrize(
    "changed",
    [
        link(flags=0),
        link(u32(c.IFLA_MTU, 1400)),
        link(u32(c.IFLA_MASTER, 3)),
        link(text(c.IFLA_IFALIAS, "not ours any more")),
        link(u32(c.IFLA_GROUP, 9)),
    ],
)
def test_what_is_compared_is_news_there_and_back(changed: bytes) -> None:
    news = LinkNews()
    assert said(news, link())
    assert said(news, changed)
    assert said(news, link())


def test_a_bridge_port_is_news_by_its_hairpin_mode() -> None:
    news = LinkNews()
    assert said(news, port(u8(c.IFLA_BRPORT_MODE, 0), u8(1, 0)))
    assert not said(news, port(u8(c.IFLA_BRPORT_MODE, 0), u8(1, 3)))
    assert said(news, port(u8(c.IFLA_BRPORT_MODE, 1), u8(1, 3)))


def test_what_went_or_was_not_heard_is_news_again() -> None:
    news = LinkNews()
    assert said(news, link())
    assert said(news, link(), c.RTM_DELLINK)
    assert said(news, link())
    news.forget(-1)
    assert said(news, link())
    news.forget_all()
    assert said(news, link())


def test_inotify_names_folder_and_file(tmp_path: Path) -> None:
    inotify = Inotify()
    try:
        folder = tmp_path / "files"
        folder.mkdir()
        number = inotify.add(str(folder))
        assert inotify.add(str(folder)) == number
        with pytest.raises(FileNotFoundError):
            inotify.add(str(tmp_path / "none"))
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        assert {(number, CREATE, "hosts"), (number, MODIFY, "hosts")} <= set(inotify.read())
        assert inotify.read() == []
        (folder / "hosts").unlink()
        folder.rmdir()
        assert (number, IGNORED, "") in inotify.read()
    finally:
        inotify.close()


def test_a_log_that_cannot_be_written_is_lost_and_nothing_else(tmp_path: Path) -> None:
    code = """
import os, resource, signal, sys
from reconciler.watch import log
logger = log.configure("json", verbose=False)
kept = os.dup(2)
for place in ("/dev/full", None):
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(os.open(place, os.O_WRONLY) if place else writing, 2)
    logger.info("lost")
    try:
        1 / 0
    except ZeroDivisionError as error:
        logger.error("lost", exc_info=error)
# A disk that is full in the middle of a line.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
logger.info("torn")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
logger.info("whole")
os.dup2(kept, 2)
logger.info("seen")
"""
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["seen"]
    torn, whole = path.read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(whole)["event"] == "whole"


def test_the_log_loads_nothing_that_it_does_not_use() -> None:
    code = """
import sys
from reconciler.watch import log, service
log.configure("json", verbose=False).info("watching")
loaded = {"asyncio", "rich", "prometheus_client"} & {name for name, module in sys.modules.items() if module}
print(sorted(loaded))
import asyncio
asyncio.run(asyncio.sleep(0))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "[]\n"
    assert '"event": "watching"' in done.stderr
