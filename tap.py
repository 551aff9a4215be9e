"""`twistd lienthong`: options in, service out.  Knows twistd; hands the reactor in; knows nothing of messages."""

import sys
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python import usage

CONFIGURATION = 78  #: exit code of a configuration fault (sysexits EX_CONFIG)


class Options(usage.Options):
    """Options of `twistd lienthong`."""

    synopsis = "[-c hub.toml]"
    longdesc = "Trục liên thông SOAP/XML của tỉnh. / The SOAP/XML integration hub of a province."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "Tệp cấu hình / Configuration file (LIENTHONG_CONFIG; ./hub.toml)."],
    ]

    def opt_version(self) -> None:
        """Show the version."""
        from importlib.metadata import version

        print(f"lienthong {version('lienthong')}")  # noqa: T201 - it is what was asked for
        raise SystemExit(0)


def makeService(options: Options) -> IService:
    """Return the hub; print every configuration mistake and exit 78 when there are any."""
    import os
    from pathlib import Path

    from twisted.internet import reactor
    from twisted.logger import globalLogPublisher

    from hub import logs
    from hub.errors import ConfigurationFault
    from hub.service import make_hub

    path = Path(options["config"] or os.environ.get("LIENTHONG_CONFIG") or "hub.toml")
    try:
        hub = make_hub(path.absolute(), reactor)
    except ConfigurationFault as fault:
        for mistake in fault.mistakes:
            print(f"{mistake.path}: {mistake.wrong} ({mistake.expected})", file=sys.stderr)  # noqa: T201 - twistd has no logger yet
        raise SystemExit(CONFIGURATION) from None
    if options.parent is None or not options.parent.get("logger"):
        globalLogPublisher.addObserver(logs.observer())
    return hub
