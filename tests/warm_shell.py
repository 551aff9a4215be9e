"""Gives a shell the programs of the project, each forked from the process of tests/warm.py: a page is typed in a third of the time.

Knows a folder for the shell's PATH in which `lienthong` and `twistd` stand: small programs that hand their words, their folder, their
environment and their files to a thread here, wait, and end as the program ended.
"""

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests import warm
from tests.warm import BIN

_PLACE = "LIENTHONG_WARM_SHELL"
_PROGRAM = f"""#!{sys.executable} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as there:
    there.connect(os.environ["{_PLACE}"])
    words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    env = {{name: value for name, value in os.environ.items() if name != "{_PLACE}"}}
    wanted = {{"words": words, "cwd": os.getcwd(), "env": env}}
    socket.send_fds(there, [json.dumps(wanted).encode()], [0, 1, 2])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: there.send(str(number).encode()))
    code = int(there.recv(16) or 99)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextlib.contextmanager
def open_programs(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield *env* for a shell that finds the programs; whatever they run ends with the shell's own processes."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        for name in ("lienthong", "twistd"):
            program = Path(place) / name
            program.write_text(_PROGRAM)
            program.chmod(0o755)
        listening.bind(f"{place}/socket")
        listening.listen(64)
        serving = threading.Thread(target=_serve, args=(listening,), daemon=True)
        serving.start()
        try:
            yield {**env, "PATH": f"{place}:{BIN}:{env['PATH']}", _PLACE: f"{place}/socket"}
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join()


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            asking, _ = listening.accept()
        except OSError:  # it was shut down
            return
        threading.Thread(target=_run, args=(asking,), daemon=True).start()


def _run(asking: socket.socket) -> None:
    with asking:
        message, files, _, _ = socket.recv_fds(asking, warm.MOST, 3)
        if not message:
            return
        wanted = json.loads(message)
        name, *words = wanted["words"]
        with contextlib.ExitStack() as stack:
            stdin, stdout, stderr = (stack.enter_context(os.fdopen(file, "r+b", 0, closefd=True)) for file in files)
            started = warm.start(
                [BIN / name, *words],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=Path(wanted["cwd"]),
                env=wanted["env"],
            )
        threading.Thread(target=_pass_signals, args=(asking, started), daemon=True).start()
        code = started.wait()
        with contextlib.suppress(OSError):  # the shell may be gone
            asking.send(str(code).encode())


def _pass_signals(asking: socket.socket, started: Any) -> None:
    """Send to the program what its stand-in gets; end it when the stand-in is gone."""
    while True:
        try:
            told = asking.recv(16)
        except OSError:
            told = b""
        if not told:
            if started.poll() is None:
                started.kill()
            return
        started.send_signal(int(told))
