"""A throwaway machine that a real systemd has started, from the programs of this one.

systemd is the first process of a PID namespace, with mounts, a network (loopback alone), a host name and a control
group of its own. Of units it knows what stands in its own copy of /etc/systemd/system: four empty targets at first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.watching import until

REPOSITORY = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")

# $1: the folder whose log is the console. Settings of the kernel that belong to no namespace stay out of reach, for
# systemd raises some at its start (fs.file-max).
_SCRIPT = """
set -e
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
mount -t sysfs -o ro sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /run/new && mount -t tmpfs -o mode=755 tmpfs /run/new
mkdir /run/new/etc /run/new/dev /run/new/lock
cp -a /etc/. /run/new/etc
for name in null zero full random urandom tty; do
    : > /run/new/dev/$name
    mount --bind /dev/$name /run/new/dev/$name
done
ln -s /proc/self/fd /run/new/dev/fd
mkdir /run/new/dev/pts /run/new/dev/shm
: > /run/new/dev/console
mount --bind "$1/console" /run/new/dev/console
mount --rbind /run/new/dev /dev
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
mount --bind /run/new/etc /etc
mount --rbind /run/new /run
rm -rf /etc/systemd /etc/netns /etc/udev/rules.d /etc/NetworkManager
mkdir -p /etc/systemd/system/service.d /etc/systemd/system.conf.d
cp "$1"/units/* /etc/systemd/system
printf '[Manager]\\nDefaultEnvironment=PYTHONPATH=%s PYTHONDONTWRITEBYTECODE=1\\n' "$2" > /etc/systemd/system.conf.d/test.conf
printf '[Service]\\nStandardError=append:%s/console\\n' "$1" > /etc/systemd/system/service.d/log.conf
ip link set lo up
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \
    "$3" --system --unit=multi-user.target --show-status=no --log-target=console
"""


class Booted:
    """The machine. ``close`` ends all that runs there."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is an empty one; the machine sees it at the same path.

        The test is skipped where no systemd is installed, or no control group can be made.
        """
        if not SYSTEMD.exists():
            pytest.skip("systemd is not installed")
        self.folder = folder
        self._mounted = folder / "cgroup"
        self._group = self._make_group()
        (folder / "console").touch()
        (folder / "units").mkdir()
        for name in ("sysinit", "basic", "multi-user", "shutdown"):
            (folder / "units" / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
        kinds = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup")
        script = ["sh", "-c", _SCRIPT, "sh", str(folder), str(REPOSITORY), str(SYSTEMD)]
        # A shell is in the group already when unshare makes its namespace, whose root that becomes.
        entering = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self._group)]
        self._outer = subprocess.Popen(
            [*entering, "unshare", "--kill-child", "--fork", *kinds, *script], stdin=subprocess.DEVNULL
        )
        try:
            self.init = 0
            until(self._started, "systemd is there")
            until(lambda: self.run("systemctl", "is-system-running", check=False).stdout == "running\n", "it is up")
        except BaseException:
            self.close()
            raise

    def _make_group(self) -> Path:
        own = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
        self._mounted.mkdir()
        mounted = subprocess.run(["mount", "-t", "cgroup2", "cgroup2", self._mounted], check=False, capture_output=True)
        if mounted.returncode or not own:
            pytest.skip(f"no control groups of version 2: {mounted.stderr.decode().strip()}")
        group = Path(f"{self._mounted}{own[0]}") / f"netapply-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError as error:
            subprocess.run(["umount", self._mounted], check=True)
            pytest.skip(f"no control group can be made: {error}")
        return group

    def _started(self) -> bool:
        assert self._outer.poll() is None, f"systemd did not start: {self.console()}"
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text() == "systemd\n":
            self.init = int(children[0])
        return self.init > 0

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program there. With ``check``, failing is an AssertionError that shows what it said."""
        try:
            done = subprocess.run(
                ["nsenter", f"--target={self.init}", "--all", "--", *command],
                check=False,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SYSTEMD_PAGER": ""},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{command} does not end\n{self.console()[-3000:]}") from error
        said = f"{done.stdout}{done.stderr}\n{self.console()[-3000:]}"
        assert not (check and done.returncode), f"{command}: {done.returncode}\n{said}"
        return done

    def netapply(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run netapply there."""
        return self.run(sys.executable, "-m", "reconciler", *arguments, check=check)

    def unit(self, name: str, item: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={item}", name).stdout.strip()

    def write_unit(self, path: str, text: str) -> None:
        """A file below /etc/systemd/system, which systemd then reads."""
        target = self.outside(f"etc/systemd/system/{path}")
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        self.run("systemctl", "daemon-reload")

    def outside(self, path: str) -> Path:
        """Where the test finds a file of that machine."""
        return Path(f"/proc/{self.init}/root", path.lstrip("/"))

    @property
    def network(self) -> Path:
        """Its network namespace."""
        return Path(f"/proc/{self.init}/ns/net")

    def console(self) -> str:
        """What systemd and its services said."""
        return (self.folder / "console").read_text(errors="replace")

    def processes(self, unit_name: str) -> set[int]:
        """The processes of a unit's control group, as numbered there."""
        listed = self.run("cat", f"/sys/fs/cgroup/system.slice/{unit_name}/cgroup.procs").stdout
        return set(map(int, listed.split()))

    def close(self) -> None:
        """End it, and remove its control group."""
        self._outer.kill()
        self._outer.wait(10)
        # With the first process of a PID namespace all others go, but not at that moment (pid_namespaces(7)).
        until(lambda: "populated 0" in (self._group / "cgroup.events").read_text(), "all has ended")
        for folder, _, _ in os.walk(self._group, topdown=False):
            Path(folder).rmdir()
        subprocess.run(["umount", self._mounted], check=True)
