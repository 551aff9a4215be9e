"""A clean Debian that really boots: systemd as process 1 in namespaces of its own, on a system in memory above a folder.

Its network is its own loopback interface, so nothing of it can fetch anything.

Knows Linux's namespaces and mounts, and needs root. Nothing of it is left when it is closed.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

#: What a machine of the tests has beside the packages of the smallest Debian.
PACKAGES = "systemd,systemd-sysv,dbus,python3,adduser,tzdata,openssl,curl,procps,postgresql"

_BOOT = r"""
echo $$ >"$CGROUP/cgroup.procs"
exec unshare --mount --pid --fork --uts --ipc --net --cgroup --mount-proc sh -eu -c '
mount --make-rprivate /
mount -t tmpfs -o size=3g memory "$PLACE"
mkdir "$PLACE/upper" "$PLACE/work" "$PLACE/root"
mount -t overlay overlay -o "lowerdir=$BASE,upperdir=$PLACE/upper,workdir=$PLACE/work" "$PLACE/root"
cd "$PLACE/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 memory run
mount -t tmpfs -o mode=755 memory dev
for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm packages run/old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 memory dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount --bind "$PACKAGES" packages
pivot_root . run/old
umount -l /run/old
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd --log-target=null
'
"""


class BootedMachine:
    """One machine. Its files are those of the folder *base*, and what it changes is in memory."""

    def __init__(self, base: Path, place: Path, packages: Path) -> None:
        place.mkdir()
        self._cgroup = _find_cgroups() / f"lienthong-machine-{os.getpid()}"
        self._cgroup.mkdir()
        env = os.environ | {
            "BASE": str(base),
            "PLACE": str(place),
            "PACKAGES": str(packages),
            "CGROUP": str(self._cgroup),
        }
        self._outer = subprocess.Popen(["sh", "-eu", "-c", _BOOT], env=env)
        self._init = 0
        wait_until(self._has_booted, "systemd to boot")

    def _has_booted(self) -> bool:
        assert self._outer.poll() is None, "the machine did not boot"
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text("ascii").split()
        if not children:
            return False
        self._init = int(children[0])
        if b"systemd" not in Path(f"/proc/{self._init}/cmdline").read_bytes().split(b"\0")[0]:
            return False
        state = self.run("systemctl is-system-running 2>&1 || true").strip()
        return state in {"running", "degraded"}  # a kernel module that is not there is no matter

    def run(self, script: str, code: int = 0, patience: float = 300.0) -> str:
        """Run *script* there as root; return what it printed. It must end with *code*."""
        inside = ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "env", "-i"]
        plain = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=en_US.UTF-8", "HOME=/root", "bash", "-eu", "-c", script]
        done = subprocess.run(
            [*inside, *plain],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience,
        )
        assert done.returncode == code, f"{script}\n{done.stdout[-4000:]}"
        return done.stdout

    def start(self, script: str) -> "subprocess.Popen[str]":
        """Start *script* there, and return its process here."""
        inside = [
            "nsenter",
            "-t",
            str(self._init),
            "-m",
            "-p",
            "-u",
            "-i",
            "-n",
            "-C",
            "-r",
            "bash",
            "-eu",
            "-c",
            script,
        ]
        return subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def close(self) -> None:
        """End every process of the machine, and take back what it had."""
        if self._init:
            os.kill(self._init, signal.SIGKILL)
        else:
            self._outer.kill()
        self._outer.wait(30)
        wait_until(lambda: "populated 0" in (self._cgroup / "cgroup.events").read_text("ascii"), "the machine to end")
        for folder in sorted(self._cgroup.rglob("*/"), reverse=True):
            folder.rmdir()
        self._cgroup.rmdir()


def wait_until(reached: Callable[[], bool], what: str, patience: float = 60.0) -> None:
    """Wait until *reached* is true. Fails after *patience* seconds."""
    end = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < end, f"waited {patience:g} s for {what}"
        time.sleep(0.2)


def _find_cgroups() -> Path:
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _device, place, kind, *_rest = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise FileNotFoundError("cgroup2 is mounted nowhere")
