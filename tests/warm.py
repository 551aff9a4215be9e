"""Starts the project's own programs in processes that are forked from one which has imported them already.

Importing the hub costs a process about a second of CPU, and the tests start more than a thousand.  A forked process is a real one all the
same: it has its own id, session, files, sockets and exit code, and runs its program from the first line.  Tests of starting itself (another
reactor, a launcher, an installed wheel) and all other programs start the ordinary way; `start` does that by itself.
"""

import atexit
import contextlib
import gc
import hashlib
import importlib
import json
import mmap
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.waiting import PROGRAM

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
#: Modules that most programs need.  None of them may install a reactor: all forks would share its file descriptors.
WANTED = (
    "hub.node.hub",
    "hub.cli.setup.init",
    "hub.cli.setup.check",
    "hub.cli.message.messages",
    "hub.cli.db.db",
    "hub.cli.report.report",
    "hub.cli.units.units",
    "twisted.scripts.twistd",
    "tap",
)
#: Those that read private keys.
READERS = (
    "hub.config.files",
    "hub.security.certificates",
    "lienthong_demo.protocol.signing",
    "lienthong_demo.partners.official",
)
#: One request: the longest command and environment, in octets.
MOST = 200_000


def _changes(env: Mapping[str, str]) -> dict[str, str]:
    """Return what of *env* changes the interpreter itself."""
    return {name: value for name, value in env.items() if name.startswith(("PYTHON", "LD_"))}


OURS = _changes(os.environ)


class Started:
    """A process that was forked; has those attributes and methods of `subprocess.Popen` that the tests use."""

    def __init__(self, args: Sequence[str], pid: int, status: socket.socket, ours: Mapping[str, IO[Any]]) -> None:
        self.args, self.pid = args, pid
        self.returncode: int | None = None
        self.stdin, self.stdout = ours.get("stdin"), ours.get("stdout")
        self._status = status
        weakref.finalize(self, status.close)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code as soon as the process has ended; raise `subprocess.TimeoutExpired` after *timeout* seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            told = self._status.recv(100, socket.MSG_PEEK)  # it stays there for another thread that waits
            assert told, "the process that forks has ended"
            self.returncode = os.waitstatus_to_exitcode(int(told))
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Forker:
    """The process that has imported everything, seen from the tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-m", "tests.warm", str(theirs.fileno())],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in _changes(os.environ)} | OURS,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        """End it.  What it has started goes on."""
        self._ours.close()
        self._process.wait(30)

    def fork(self, request: Mapping[str, object], files: Sequence[int]) -> tuple[int, socket.socket]:
        """Start a program with *files* as its standard input, output and error; return its id and where its status is told."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        message = json.dumps(request).encode()
        assert len(message) <= MOST
        with theirs, self._lock:
            socket.send_fds(self._ours, [message], [*files, theirs.fileno()])
            told = self._ours.recv(100)
        assert told, "the process that forks has ended"
        return int(told), ours


_forker: Forker | None = None
_first = threading.Lock()


def ensure_forker() -> Forker:
    """Return the process that forks. What it forks lives in the namespaces in which it was started."""
    global _forker  # noqa: PLW0603 - one for each process that runs tests
    with _first:
        _forker = _forker or Forker()
    return _forker


def start(
    command: Sequence[object],
    *,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: bool = False,
) -> "Started | subprocess.Popen[Any]":
    """Start *command* in a session of its own, as `subprocess.Popen` does with the same arguments."""
    words = [str(word) for word in command]
    program = _program(words, os.environ if env is None else env)
    if program is None:
        return subprocess.Popen(
            words, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, text=text, start_new_session=True
        )
    forker = ensure_forker()
    pipes: dict[str, int] = {}
    with contextlib.ExitStack() as theirs:
        files = []
        for name, wanted in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
            if wanted == subprocess.PIPE:
                ends = os.pipe()
                pipes[name], handed = ends if name != "stdin" else ends[::-1]
                theirs.callback(os.close, handed)
            elif wanted == subprocess.DEVNULL or (wanted is None and name == "stdin"):
                handed = os.open(os.devnull, os.O_RDWR)
                theirs.callback(os.close, handed)
            elif wanted is None:
                handed = 1 if name == "stdout" else 2
            else:
                handed = wanted.fileno()
            files.append(handed)
        request = {"program": program, "argv": words, "cwd": str(cwd or Path.cwd()), "env": dict(env or os.environ)}
        pid, status = forker.fork(request, files)
    modes = {"stdin": "w", "stdout": "r"}
    ours = {
        name: os.fdopen(end, modes[name] + ("" if text else "b"), encoding="utf-8" if text else None)
        for name, end in pipes.items()
    }
    return Started(words, pid, status, ours)


def run(
    command: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = PROGRAM,
) -> "subprocess.CompletedProcess[str]":
    """Run *command* to its end, and return what it wrote; raise `subprocess.TimeoutExpired` after *timeout* seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, env=env)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        written = (file.read().decode() for file in (out, err))  # its line ends as they are
        return subprocess.CompletedProcess([str(word) for word in command], code, *written)


def _program(words: Sequence[str], env: Mapping[str, str]) -> str | None:
    """Return the name of the program of the project that *words* call; None when another, or an interpreter that *env* changes."""
    if _changes(env) not in (OURS, OURS | {"PYTHONPATH": str(ROOT)}):
        return None
    if words[0] in {str(BIN / "lienthong"), str(BIN / "twistd")} and not any(
        word.startswith("--reactor") for word in words
    ):
        return Path(words[0]).name
    if words[:2] == [sys.executable, "-m"] and words[2].startswith(("tests.", "hub.")):
        return words[2]
    return None


# --- the process that forks ---------------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; tell the status of each fork when it has ended.

    Returns what is to be run, in each fork, with its standard files in place; None when the process that asks has ended.
    """
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not requests:
                pid, status = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                with status, contextlib.suppress(BrokenPipeError):
                    status.send(str(os.waitpid(pid, 0)[1]).encode())
                continue
            message, files, _, _ = socket.recv_fds(requests, MOST, 4)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                os.setsid()
                signal.signal(
                    signal.SIGINT, signal.default_int_handler
                )  # a shell starts background jobs with SIGINT ignored
                requests.send(str(os.getpid()).encode())  # from here on a signal to its group reaches it
                _close_all(selector, requests)
                for number, file in enumerate(files[:3]):
                    os.dup2(file, number)
                for file in files:
                    os.close(file)
                wanted: dict[str, Any] = json.loads(message)
                return wanted
            for file in files[:3]:
                os.close(file)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, socket.socket(fileno=files[3])))


def _close_all(selector: selectors.BaseSelector, requests: socket.socket) -> None:
    """Close what belongs to the process that forks: a fork that kept it would keep others from seeing an end."""
    for key in list(selector.get_map().values()):
        if key.fileobj is not requests:
            os.close(key.fd)
            key.data[1].close()
    selector.close()
    requests.close()


def run_program(name: str, argv: Sequence[str]) -> None:
    """Do what the installed script, or `python -m`, does."""
    sys.argv[:] = argv
    if name == "lienthong":
        from hub.cli import main

        main()
    elif name == "twistd":
        from twisted.scripts.twistd import run

        sys.exit(run())
    else:
        del sys.argv[:2]
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def _become(wanted: Mapping[str, Any]) -> None:
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    run_program(wanted["program"], wanted["argv"])


def _end(code: object) -> NoReturn:
    """End as the interpreter does after `SystemExit`, but take no module apart: it would copy every page that the forks share, which
    takes a tenth of a second of CPU, nine tenths of what a fork takes.
    """
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    status = code or 0
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except OSError:
            status = 120
    os._exit(status)


def _read_package() -> None:
    """Read what the hub keeps once it has read it, and is the same for every fork: files of the package, and Twisted's plugins."""
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    from hub.config.service_files import read_services
    from hub.config.table import ConfigTable
    from hub.language.fields import open_words
    from hub.node.contract_check import find_contract_mistakes
    from hub.report.form.folder import read_form_folder
    from hub.soap import wsdl
    from hub.store import transactions

    transactions.list_migrations()
    transactions.read_latest_version()
    _, countable = read_services(ConfigTable({}, "", []), ROOT, [])
    read_form_folder(countable=countable)
    wsdl.load_published_contract = cache(wsdl.load_published_contract)
    list(find_contract_mistakes())
    open_words()
    list(getPlugins(IServiceMaker))


def _prove_once(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return *load*, which reads private keys, so that the first fork alone proves the numbers of a key: that takes thirty
    milliseconds, and most programs read one. The forks share what notes it.
    """
    proved = mmap.mmap(-1, 256 * hashlib.sha256().digest_size)

    def load_proved(content: bytes, password: bytes | None = None) -> Any:
        digest = hashlib.sha256(content).digest()
        place = slice(digest[0] * len(digest), (digest[0] + 1) * len(digest))
        key = load(content, password, unsafe_skip_rsa_key_validation=proved[place] == digest)
        proved[place] = digest
        return key

    return load_proved


if __name__ == "__main__":
    from cryptography.hazmat.primitives import serialization

    for each in WANTED:
        importlib.import_module(each)
    _read_package()
    load = _prove_once(serialization.load_pem_private_key)
    for each in READERS:
        vars(importlib.import_module(each))["load_pem_private_key"] = load
    assert "twisted.internet.reactor" not in sys.modules
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job, so that this is always tested
    gc.freeze()
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        try:
            _become(wanted)
        except SystemExit as ended:
            code = ended.code
        else:
            code = None
        _end(code)
