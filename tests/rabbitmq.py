"""A RabbitMQ of the tests' own: its data in a directory, its ports on loopback, ended by its process.  Needs the program alone, as any account."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pika
import pytest

from tests.conftest import cannot_be_had
from tests.ports import find_free_ports

logging.getLogger("pika").setLevel(
    logging.CRITICAL + 1
)  # of a broker that is about to start or was killed it has much to say
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in /usr/sbin would become another account
USER, PASSWORD = "lienthong", "lien-thong"
_START_WITHIN = 90.0  #: seconds


@attrs.define(eq=False)
class Broker:
    """One broker, and the epmd that Erlang wants beside it."""

    home: Path
    port: int
    tls_port: int
    _environment: dict[str, str]
    _names: subprocess.Popen[bytes] | None = None
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def open(cls, *, started: bool = True, tls: tuple[Path, Path, Path] | None = None) -> Iterator["Broker"]:
        """Yield a fresh broker, *started* or not; with *tls* (key, certificate, CA) it asks for a certificate on a second port."""
        if not PROGRAM.exists() or shutil.which("epmd") is None:
            cannot_be_had("RabbitMQ", "apt-get install rabbitmq-server")
        home = Path(tempfile.mkdtemp(prefix="lienthong-rabbitmq-"))
        names, port, tls_port, peers = find_free_ports(4)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{port}",
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            "disk_free_limit.absolute = 50MB",
            "log.console = true",
            "log.console.level = warning",
        ]
        if tls is not None:
            key, certificate, authority = tls
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{tls_port}",
                f"ssl_options.keyfile = {key}",
                f"ssl_options.certfile = {certificate}",
                f"ssl_options.cacertfile = {authority}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = true",
            ]
        (home / "rabbitmq.conf").write_text("\n".join(lines) + "\n", "utf-8")
        (home / "enabled_plugins").write_text("[].\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ", "ERL"))}
        environment |= {
            "HOME": str(home),
            "RUNNING_UNDER_SYSTEMD": "true",  # then no shell stays between us and the broker
            "RABBITMQ_NODENAME": f"hub{port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(peers),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
        }
        made = cls(home, port, tls_port, environment)
        try:
            made._names = subprocess.Popen(["epmd"], env=environment, stdin=subprocess.DEVNULL)
            if started:
                made.start()
            yield made
        finally:
            made.crash()
            if made._names is not None:
                made._names.kill()
                made._names.wait()
            shutil.rmtree(home, ignore_errors=True)

    @property
    def url(self) -> str:
        """Return the URL as `[feed]` takes it."""
        return f"amqp://{USER}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [PROGRAM],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.home,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"RabbitMQ did not start: {(self.home / 'output').read_text('utf-8', 'replace')[-3000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def connect(self) -> pika.BlockingConnection:
        """Return a connection."""
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.port, credentials=pika.PlainCredentials(USER, PASSWORD))
        )

    def crash(self) -> None:
        """`kill -9` it, all its processes at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
