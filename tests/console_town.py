"""A console without a port: its pages over a journal, a clock that a test turns, and browsers that keep cookies.

Knows what a browser does with a form and a cookie; what comes over a real port is tests/process/test_console_port.py's.
"""

import hashlib
import json
import re
from datetime import timedelta
from html import unescape
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import sqlalchemy as sa
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from hub.config import Partner
from hub.config.alerting.alerts import AlertSettings
from hub.config.officials import Officials
from hub.config.reports import ReportSettings
from hub.config.upkeep.backup import BackupSettings
from hub.config.upkeep.retention import RetentionSettings
from hub.config.values import ConsoleSettings, KeyRotation
from hub.console import edge
from hub.console.parts import ConsoleParts
from hub.console.request import ConsoleRequest
from hub.console.router import ConsoleRouter
from hub.console.sign_in.openid_sign_in import FLOW
from hub.domain.writer_budget import WriterBudget, WriterReading
from hub.journal import messages, unit_registry
from hub.operations.accounts import passwords, users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.operations.partners.partner_orders import PartnerManaging
from hub.operations.partners.rule_trials import RuleTrial
from hub.runtime.disk_reader import DiskReader
from hub.runtime.thread_pool import run_at_once
from hub.security.encryption import CODES, KEY, Keyring, Safe
from hub.services import list_services
from hub.services.defined import DefinedService
from hub.services.defined.reading import make_defined_service
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web import answering
from hub.web.answers import ConsoleResponse
from tests import pki
from tests.province import NOW, ROUTES, UNITS, document, entry

PASSWORD = "mật khẩu thật dài"
HOST = "hub.tinh.gov.vn:8444"
#: Encrypts the secrets of one-time codes.
KEYS = Keyring((Safe(b"k" * KEY, CODES),))
CHEAP = passwords.HashCost(n=4)  # nobody guesses here
#: A hash of no password that is soon compared.
NOBODY = passwords.hash_password("", b"0" * 16, CHEAP)


class Town:
    """A journal with some units and documents, and the console's pages."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine, self.now, self.reports = engine, NOW, ReportSettings()
        self.services: dict[str, DefinedService] = {}
        self.officials: Officials | None = None
        self.alerts: AlertSettings | None = None
        self.partners: dict[str, Partner] = {}
        self.archive, self.witness = Path("archive"), Path("witness")
        self.backup: BackupSettings | None = None
        self.disk = DiskReader(maybeDeferred, Clock())
        self.budget = WriterBudget()
        self.settings = ConsoleSettings(keys=KEYS)
        self.live: Live | None = None  #: instead of what the others say
        self.manager: PartnerManaging | None = None
        self.trials: list[RuleTrial] = []  #: of other rules, that each node has kept
        self.fetch: Any = None  #: an `openid_client.Fetch`: calls OpenID providers
        self.checks = {"database": ("unavailable", "/var/run/postgresql/.s.PGSQL.5432: <gone>"), "disk": ("ok", "")}
        self._words = count(1)
        with transactions.write_transaction(engine) as tx:
            unit_registry.write_registry_units(tx, UNITS)

    async def facts(self, _services: object) -> None:
        """Wait for nothing: what is taken in here has its facts at once."""

    def pages(self) -> ConsoleRouter:
        """Return the pages as a node has them; each call is another node."""
        config = SimpleNamespace(
            name="Tỉnh",
            identity=pki.partner("hub"),
            partners=self.partners,
            province="H55",
            upstream="vpcp",
            retention=RetentionSettings(budget=1_000_000),
            services=self.services,
            every_service={
                **list_services(),
                **{name: make_defined_service(each) for name, each in self.services.items()},
            },
            reports=self.reports,
            officials=self.officials,
            alerts=self.alerts,
            archive=self.archive,
            backup=self.backup,
            witness_folder=self.witness,
            console=self.settings,
            soap=SimpleNamespace(body_limit=40_000_000),
            own=(("pki.certificate", pki.partner("hub")),),
            authorities=(pki.authority().certificate,),
            sample=True,
            rotation=KeyRotation(),
            name_soap_address=lambda: "https://hub.tinh.gov.vn:8443",
        )
        province = cast("Province", SimpleNamespace(config=config, routes=ROUTES))
        database = InlineDatabase(self.engine)
        live = self.live or Live(Setup(province))
        parts = ConsoleParts(
            journal=database,
            work=run_at_once,
            live=live,
            now=lambda: self.now,
            word=self._word,
            salt=self._salt,
            checks=self._checks,
            facts=self.facts,
            manager=self.manager,
            make_fetch=lambda _: self.fetch,
            disk=self.disk,
            writer=self._read_writer,
        )
        parts.trials._trials |= {each.id: each for each in self.trials}
        return ConsoleRouter(parts)

    def _read_writer(self) -> WriterReading:
        return self.budget.read(300.0)

    async def _checks(self) -> dict[str, tuple[str, str]]:
        return dict(self.checks)

    def _word(self) -> str:
        return f"{next(self._words):A>43}"

    def _salt(self) -> bytes:
        return hashlib.sha256(self._word().encode()).digest()[:16]

    def add(
        self,
        name: str,
        *units: str,
        role: Role = Role.READER,
        password: str = PASSWORD,
        partners: tuple[str, ...] = ("*",),
    ) -> None:
        """Add a user. One of the exchange sees every unit, unless *units* are given."""
        units = units if units or role.is_official else ("*",)
        user = User(name=name, role=role, units=units, partners=partners, added_at=self.now, changed_at=self.now)
        with transactions.write_transaction(self.engine) as tx:
            assert users.add_user(
                tx, user, passwords.hash_password(password, b"1" * 16, CHEAP), by="test", now=self.now
            )

    def take(self, number: int, sender: str = "H55.13", *recipients: str, **fields: Any) -> str:
        """Journal a document of *sender*; return the hub's id of it."""
        subject = fields.pop("subject", "V/v kết nối")
        packet = attrs.evolve(document(sender, *recipients, document_id=f"D{number}"), subject=subject)
        made = entry(packet, number, at=fields.pop("at", self.now), **fields)
        with transactions.write_transaction(self.engine) as tx:
            messages.record_message(tx, made, ROUTES)
        return made.id

    def told(self, *names: str) -> list[dict[str, Any]]:
        """Return the events with these names, in order."""
        with transactions.read_transaction(self.engine) as tx:
            found = [json.loads(text) for text in tx.scalars(sa.select(event.c.text).order_by(event.c.serial))]
        return [each for each in found if each["event"] in names]

    def wait(self, **time: float) -> None:
        """Let time go by."""
        self.now += timedelta(**time)


class Browser:
    """One browser: it keeps cookies, and says where a form was sent from."""

    def __init__(self, town: Town, address: str = "10.0.0.1", languages: str = "vi-VN,vi;q=0.9") -> None:
        self.town, self.address, self.languages = town, address, languages
        self.pages = town.pages()
        self.cookies: dict[str, str] = {}
        self.page = ""

    def get(self, place: str, **said: Any) -> ConsoleResponse:
        """Open a page; `self.page` is its text."""
        path, _, query = place.partition("?")
        asked = self._asked(
            path=answering.read_path_pieces(path.encode()), query=edge._read_pairs(query.encode()), **said
        )
        return self._answer(asked)

    def follow(self, place: str) -> ConsoleResponse:
        """Open a page, or the one to which its address leads."""
        answer = self.get(place)
        return self.get(answer.location) if answer.status == 303 and answer.location else answer

    def post(self, place: str, *, proof: str | None = None, **form: Any) -> ConsoleResponse:
        """Send the form of the page that is open, as a browser would; *proof* in place of its own."""
        return self._answer(self.form(place, proof=proof, **form))

    def form(self, place: str, *, proof: str | None = None, **form: Any) -> ConsoleRequest:
        """Return what `post` sends."""
        said: dict[str, Any] = {name: form.pop(name) for name in ("origin", "site", "host") if name in form}
        form |= {"proof": self.proof if proof is None else proof}
        said |= {name: form.pop(name, None) for name in ("file", "packet")}
        said = {"origin": f"https://{HOST}", "site": "same-origin"} | said
        return self._asked(method="POST", path=answering.read_path_pieces(place.encode()), form=form, **said)

    @property
    def proof(self) -> str:
        """What the forms of the open page carry."""
        found = re.search(r'name="proof" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def links(self) -> list[str]:
        """Return where the open page leads to."""
        return [unescape(each) for each in re.findall(r'href="([^"]*)"', self.page)]

    def sign_in(self, name: str, password: str = PASSWORD, following: str = "/") -> ConsoleResponse:
        """Sign in."""
        self.get(following)
        return self.post("/sign-in", name=name, password=password, next=following)

    def _asked(self, **said: Any) -> ConsoleRequest:
        around = {"host": HOST, "languages": self.languages, "address": self.address, "cookies": dict(self.cookies)}
        return ConsoleRequest(**(around | said))

    def _answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        answer: ConsoleResponse = done(self.pages.answer(asked))
        for each in answer.cookies:
            name, _, rest = each.partition("=")
            value, *words = rest.split("; ")
            site = "Lax" if name == FLOW else "Strict"
            assert {"Secure", "HttpOnly", f"SameSite={site}", "Path=/"} <= set(words), "as each cookie must be"
            if "Max-Age=0" in words:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        self.page = answer.content.decode("utf-8", "replace")
        return answer


def done(coroutine: Any) -> Any:
    """Return what *coroutine* returns; under these databases it is there at once."""
    found: list[Any] = []
    failures: list[Any] = []
    _ = Deferred.fromCoroutine(coroutine).addCallbacks(found.append, failures.append)
    if failures:
        failures[0].raiseException()
    return found[0]
