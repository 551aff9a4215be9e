"""Runs the mail system of a province: a real Postfix and a real Dovecot on loopback, in a directory of their own.

Knows their configuration, the accounts and the mailboxes. Knows nothing of the hub. A Postfix and a Dovecot of the
machine itself are not touched. Only root can start them, because Postfix runs each of its processes under another
account.
"""

import argparse
import contextlib
import email
import imaplib
import json
import os
import pwd
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.mail import mailfiles
from lienthong_demo.run.ports import find_free_ports

DOMAIN = "thainguyen.gov.vn"
PASSWORD = "mat-khau-mau"  # of every account here
LIMIT = 20_000_000  #: maximum octets of one mail as transmitted
QUOTA = "5G"
_MASTER, _DOVECOT = Path("/usr/lib/postfix/sbin/master"), Path("/usr/sbin/dovecot")
_WITHIN = 120.0  #: seconds for a program to start or end: a busy machine is no failure
_OWNER = "mail"  #: the account that owns the mailboxes

_QUEUES = [
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "public",
    "saved",
    "trace",
    "maildrop",
    "pid",
]


def has_mail_programs() -> bool:
    """Tell whether both programs are installed and this process may start them."""
    return _MASTER.exists() and _DOVECOT.exists() and os.geteuid() == 0


@attrs.define(eq=False)
class MailHost:
    """One mail system with a fixed set of accounts. `elsewhere` is a domain that is not the province's."""

    home: Path
    key: Path
    certificate: Path
    accounts: Sequence[str]  #: full addresses
    elsewhere: str = "ngoai.example"
    plain: bool = False  #: whether passwords may be sent without TLS
    limit: int = LIMIT
    ports: dict[str, int] = attrs.field(factory=dict, init=False)  #: smtp, smtps, imap, imaps
    _running: dict[str, subprocess.Popen[bytes]] = attrs.field(factory=dict, init=False)

    @classmethod
    @contextlib.contextmanager
    def open(cls, key: Path, certificate: Path, accounts: Sequence[str], **more: Any) -> Iterator["MailHost"]:
        """Yield a running mail system in a temporary directory, which is removed afterwards."""
        home = Path(tempfile.mkdtemp(prefix="lienthong-mail-"))
        host = cls(home, key, certificate, accounts, **more)
        try:
            host.prepare()
            host.start()
            yield host
        finally:
            host.stop()
            shutil.rmtree(home)

    def prepare(self) -> None:
        """Write the configuration files of both programs."""
        home, owner, postfix = self.home, pwd.getpwnam(_OWNER), pwd.getpwnam("postfix")
        home.chmod(0o755)
        self.ports = dict(zip(("smtp", "smtps", "imap", "imaps"), find_free_ports(4), strict=True))
        for name, file in (("key", self.key), ("certificate", self.certificate)):
            (home / f"{name}.pem").write_bytes(file.read_bytes())
        (home / "key.pem").chmod(0o600)
        said = {
            "home": home,
            "domain": DOMAIN,
            "elsewhere": self.elsewhere,
            "uid": owner.pw_uid,
            "gid": owner.pw_gid,
            "owner": _OWNER,
            "limit": self.limit,
            "quota": QUOTA,
            "key": home / "key.pem",
            "certificate": home / "certificate.pem",
            "only_tls": "no" if self.plain else "yes",
            "cleartext": "yes" if self.plain else "no",
            "ssl": "yes" if self.plain else "required",
            **self.ports,
        }
        (home / "main.cf").write_text(mailfiles.MAIN.format(**said))
        (home / "master.cf").write_text(mailfiles.SERVICES.format(**said))
        (home / "dovecot.conf").write_text(mailfiles.BOXES.format(**said))
        (home / "mailboxes").write_text("".join(f"{account} {account}/\n" for account in self.accounts))
        (home / "accounts").write_text("".join(f"{account}:{{PLAIN}}{PASSWORD}::::::\n" for account in self.accounts))
        (home / "mail").mkdir()
        os.chown(home / "mail", owner.pw_uid, owner.pw_gid)
        for name in ("queue", "data"):
            (home / name).mkdir()
        os.chown(home / "data", postfix.pw_uid, postfix.pw_gid)
        for name in _QUEUES:
            (home / "queue" / name).mkdir(mode=0o755 if name in {"public", "pid"} else 0o700)
            if name != "pid":
                os.chown(home / "queue" / name, postfix.pw_uid, postfix.pw_gid)

    def start(self, *names: str) -> None:
        """Start `smtp` and `imap`, or the ones named. Return when they answer. They write their log in UTC."""
        commands = {
            "imap": [str(_DOVECOT), "-F", "-c", str(self.home / "dovecot.conf")],
            "smtp": [str(_MASTER), "-s", "-c", str(self.home)],
        }
        for name in names or commands:
            with (self.home / f"{name}.out").open("ab") as out:
                self._running[name] = subprocess.Popen(
                    commands[name],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=os.environ | {"TZ": "UTC"},
                    start_new_session=True,  # Postfix kills its process group when it ends
                )
        for name in names or commands:
            self._wait(name)

    def _wait(self, name: str) -> None:
        until = time.monotonic() + _WITHIN
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[name]), 2) as line:
                if line.recv(1):
                    return
            if time.monotonic() > until or self._running[name].poll() is not None:
                said = (self.home / f"{name}.out").read_text(errors="replace")
                raise RuntimeError(f"{name} does not start: {said}{self.log()}")
            time.sleep(0.02)

    def stop(self, *names: str) -> None:
        """Stop both, or the ones named."""
        for name in names or tuple(self._running):
            process = self._running.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(_WITHIN)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def log(self) -> str:
        """Return the log lines of both programs so far."""
        logs = (self.home / name for name in ("mail.log", "dovecot.log"))
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def quotas(self) -> str:
        """Return Dovecot's quota report for every account."""
        command = ["doveadm", "-c", str(self.home / "dovecot.conf"), "-f", "tab", "quota", "get", "-A"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def box(self, account: str) -> list[Message]:
        """Return the mails in the inbox of *account*, oldest first."""
        found = [path for part in ("new", "cur") for path in (self.home / "mail" / account / part).glob("*")]
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        return [email.message_from_bytes(path.read_bytes()) for path in found]

    def submit(self, account: str, recipients: Sequence[str], octets: bytes) -> None:
        """Send a mail as *account*, as its user's mail program would."""
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"]) as post:
            post.starttls(context=_trusting())
            post.login(account, PASSWORD)
            post.sendmail(account, list(recipients), octets)

    def receive(self, sender: str, recipients: Sequence[str], octets: bytes) -> None:
        """Deliver a mail from outside, as another mail system would."""
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"]) as post:
            post.sendmail(sender, list(recipients), octets)

    def flags(self, account: str, folder: str = "INBOX") -> list[str]:
        """Return the flags of each mail in *folder*, as the user's mail program sees them."""
        with self._reading(account) as line:
            if line.select(f'"{folder}"', readonly=True)[0] != "OK":
                return []
            found = line.fetch("1:*", "(FLAGS)")[1] if line.untagged_responses["EXISTS"] != [b"0"] else []
            return [each.decode() for each in found if isinstance(each, bytes)]

    def make_folder(self, account: str, name: str) -> None:
        """Create a folder in the account's mailbox."""
        with self._reading(account) as line:
            line.create(f'"{name}"')

    @contextlib.contextmanager
    def _reading(self, account: str) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.ports["imap"]) as line:
            line.starttls(_trusting())
            line.login(account, PASSWORD)
            yield line


def _trusting() -> ssl.SSLContext:
    """Return a TLS context that verifies nothing: the mail program itself is not under test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def obey_mail_order(host: MailHost, order: Mapping[str, Any]) -> Mapping[str, object]:
    """Execute one order of the conductor."""
    match order["do"]:
        case "stop" | "start" as deed:
            getattr(host, deed)(order["what"])
            return {deed: order["what"]}
        case "box":
            return {"mails": [dict(mail.items()) for mail in host.box(order["account"])]}
        case "submit":
            host.submit(order["account"], order["to"], Path(order["file"]).read_bytes())
            return {"submitted": True}
        case "logs":
            return {"log": host.log(), "quotas": host.quotas()}
        case other:
            return {"error": f"no such order: {other}"}


if __name__ == "__main__":
    options = argparse.ArgumentParser("lienthong_demo.mail.mailhost")
    options.add_argument("--key", type=Path, required=True)
    options.add_argument("--certificate", type=Path, required=True)
    options.add_argument("accounts", nargs="+")
    given = options.parse_args()
    with MailHost.open(given.key, given.certificate, given.accounts) as running:
        print(json.dumps({"ready": True, **running.ports}), flush=True)
        for line in sys.stdin:
            print(json.dumps(obey_mail_order(running, json.loads(line)), ensure_ascii=False), flush=True)
