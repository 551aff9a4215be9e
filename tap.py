"""The plugin of `twistd lienthong`: reads the options and returns the service. Also the start of its worker processes.

Knows twistd and passes the reactor on. Does not know messages.
"""

import os
import sys
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python import usage

from hub.language.catalogues import translate
from hub.language.languages import choose_environment_language
from hub.language.phrases import phrase

LANGUAGE = choose_environment_language(os.environ)
CONFIGURATION = 78  #: exit code of a configuration fault (sysexits EX_CONFIG)


class Options(usage.Options):
    """Options of `twistd lienthong`."""

    synopsis = "[-c hub.toml]"
    longdesc = translate(phrase("The SOAP/XML integration hub of a province."), LANGUAGE)
    optParameters: ClassVar[list[list[Any]]] = [
        [
            "config",
            "c",
            None,
            translate(phrase("Configuration file; default $LIENTHONG_CONFIG, then ./hub.toml."), LANGUAGE),
        ],
    ]

    def opt_version(self) -> None:
        """Show the version."""
        from importlib.metadata import version

        print(f"lienthong {version('lienthong')}")  # noqa: T201 - it is what was asked for
        raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Return the hub. If the configuration has mistakes, print all of them and exit with code 78."""
    import time
    from pathlib import Path

    from twisted.internet import reactor

    from hub.domain.errors import ConfigurationFault
    from hub.node.hub import make_hub
    from hub.runtime import garbage, logs
    from hub.runtime.service_manager import ManagerStart

    # Timers must not depend on changes of the machine's clock, so the reactor uses the monotonic clock.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # Twisted's own way to say so
    path = Path(options["config"] or os.environ.get("LIENTHONG_CONFIG") or "hub.toml")
    try:
        started = ManagerStart.take(os.environ, os.getpid())
        hub = make_hub(path.absolute(), reactor, time.time, started, LANGUAGE)
    except ConfigurationFault as fault:
        for mistake in fault.mistakes:
            wrong, expected = (translate(each, LANGUAGE) for each in (mistake.wrong, mistake.expected))
            print(f"{mistake.path}: {wrong} ({expected})", file=sys.stderr)  # noqa: T201 - twistd has no logger yet
        raise SystemExit(CONFIGURATION) from None
    parent: Any = options.parent or {}
    if parent and not parent.get("logger") and not parent.get("syslog"):
        hub.observer = logs.observer(_stream(parent.get("logfile") or "-", nodaemon=bool(parent.get("nodaemon"))))
    garbage.exempt_lasting_objects()
    return hub


def run_worker_process() -> None:
    """Run one of the hub's worker processes (`workers` in hub.toml). Only the hub itself starts it."""
    import time

    from hub.runtime.parent_death import end_with_parent

    end_with_parent()  # before the rest is imported, which takes a second
    from twisted.internet import reactor

    from hub.node.workers.process import run_worker
    from hub.runtime import garbage

    garbage.exempt_lasting_objects()
    reactor.seconds = time.monotonic  # type: ignore[method-assign]  # as above
    run_worker(reactor, time.time, columns=int(sys.argv[1]))


def _stream(logfile: str, *, nodaemon: bool) -> Any:
    """Return the stream that twistd would log to: standard output, or a file that it rotates."""
    if nodaemon and logfile == "-":
        return sys.__stdout__
    from twisted.python.logfile import LogFile

    return LogFile.fromFullPath("twistd.log" if logfile == "-" else logfile)
