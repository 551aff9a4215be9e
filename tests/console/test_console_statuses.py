"""What every address of the console answers to every role, by status, as `kept-statuses` beside this file keeps it.

`./dev golden` records it anew. Knows no page and no right: both are what it finds.
"""

import difflib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.console.request import ConsoleRequest
from hub.operations.accounts.permissions import Role
from tests.console import test_console_access, test_console_partners
from tests.console.test_console_access import Stage, add, visit
from tests.console.test_console_partners import Office
from tests.console_town import Browser, Town, done

stage, made = test_console_access.stage, test_console_partners.made

KEPT = Path(__file__).with_name("kept-statuses")
#: Limits of the accounts that ask, of `test_console_access.LIMITS`.
LIMITS = ("none", "own unit", "own partner")
#: Asked beside the addresses of `test_console_access`: each kind of address, too few pieces of it and too many.
ADDRESSES = (
    *("/nothing", "/console/style.css", "/console/none", "/console", "/help", "/help/reference/errors", "/help/none"),
    *("/sign-in", "/sign-in/none", "/sign-in/certificate", "/sign-in/code", "/sign-in/openid/sso", "/sign-in/openid"),
    *("/overview", "/units/H55", "/account/more", "/readiness/more", "/events/more", "/failures/more", "/late/more"),
    *("/late.csv/more", "/late?state=x", "/item", "/item/more", "/backups/more", "/retention/more", "/upgrades/more"),
    *("/reports", "/reports?form=edoc&unit=H55.13&period=2026-11", "/reports/edoc", "/reports/edoc/H55.13"),
    *("/reports/edoc/H55.13/2026-11/sent_inside/more", "/reports/edoc/H55.13/2026-11.none", "/validate/more"),
    *("/declarations", "/declarations/edoc/H55.13", "/declarations/edoc/H55.13/2026-11.csv"),
    *("/signing", "/signing/edoc/H55.13", "/signing/edoc/H55.13/2026-11.xml", "/signing/edoc/H55.13/2026-11/more"),
    *("/glance", "/glance/edoc", "/glance/edoc/2026-12/H55.13/more", "/glance/edoc/2026-12.none"),
    *("/month", "/month/edoc", "/month/edoc/2026-11.zip", "/month/edoc/2026-11/remind", "/month/edoc/2026-11/more"),
    *("/month/edoc/2026-11/remind/more", "/messages/none", "/messages/{message}/none", "/messages.csv/more"),
    *("/messages/{refused}/none", "/messages/none/content", "/alerts/more", "/what-if/none", "/what-if/none/more"),
    *("/replays/none", "/replays/none/compare", "/replays/correct", "/replays/correct/none", "/replays/new/compare"),
    *("/replays/{plan}/more", "/replays/correct/compare", "/integration", "/integration/none"),
    *("/integration/vpub/none",),
    *("/integration/vpub/kit.zip/more", "/users/none", "/users/first/more", "/tokens/none", "/tokens/none/more"),
    *("/users?q=x&role=none", "/?q=x", "/failures?since=x", "/account", "/retention?before=x", "/backups?before=x"),
)
#: Asked of a hub whose configuration is in files.
FILED = (
    *("/partners", "/partners?add=1", "/partners/soyte", "/partners/soyte/test", "/partners/soyte/settings"),
    *("/partners/soyte/certificates", "/partners/soyte/removal", "/partners/soyte/none", "/partners/none"),
    *("/partners/none/settings", "/partners/soyte/settings/more", "/trust", "/trust/none", "/trust/none/more"),
    *("/integration/soyte", "/overview", "/"),
)


def ask(browser: Browser, address: str) -> Iterator[int]:
    """Yield the statuses of GET, of an empty form without proof, and of one with it."""
    yield browser.get(address).status
    place = address.partition("?")[0]
    yield browser.post(place, proof="").status
    if place != "/account":  # the third try locks the account out of it
        browser.get("/account")
        yield browser.post(place).status


def walk(browser: Browser, addresses: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each address with its statuses."""
    for address in addresses:
        yield address, " ".join(map(str, ask(browser, address)))
    browser.get("/account")
    yield "/sign-out", str(browser.post("/sign-out").status)


def fold(said: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield a line for each address and each answer: the statuses, and the accounts that get it."""
    for address, by_account in said.items():
        answers: dict[str, list[str]] = {}
        for account, statuses in by_account.items():
            answers.setdefault(statuses, []).append(account)
        most = max(answers, key=lambda each: len(answers[each]))
        rest = [f"{statuses} {', '.join(who)}" for statuses, who in answers.items() if statuses != most]
        yield " | ".join([f"{address}: {most}", *rest])


def compare(section: str, lines: list[str]) -> None:
    """Compare *lines* with a section of the file, or write it."""
    kept = KEPT.read_text("utf-8") if KEPT.exists() else ""
    sections = {each.partition("\n")[0]: each.partition("\n")[2].splitlines() for each in kept.split("# ")[1:]}
    if os.environ.get("GOLDEN") == "record":
        sections[section] = lines
        said = ["\n".join([f"# {name}", *each, ""]) for name, each in sorted(sections.items())]
        KEPT.write_text("".join(said), "utf-8")
    found = list(difflib.unified_diff(sections[section], lines, "kept", "now", lineterm="", n=0))
    assert not found, "\n".join(["`./dev golden` records it anew:", *found[:40]])


@pytest.mark.slow
def test_each_address_answers_each_account_as_it_did(stage: Stage) -> None:
    refused = next(each.address for each in stage.places if each.roles == test_console_access.EXCHANGE and each.opened)
    names = {"message": stage.message, "plan": stage.plan, "refused": refused.split("/")[2]}
    said: dict[str, dict[str, str]] = {}
    first = [each.address for each in stage.places]
    every = list(dict.fromkeys([*first, *(each.format(**names) for each in ADDRESSES)]))
    ids = sorted(set(re.findall(r"[0-9a-f-]{36}", " ".join(every))))
    short = {each: f"m{number}" for number, each in enumerate(ids)}
    for limit in LIMITS:
        for role in Role:
            browser = visit(stage.town, add(stage.town, role, limit))
            for address, statuses in walk(browser, every):
                named = re.sub(r"[0-9a-f-]{36}", lambda found: short[found[0]], address)
                said.setdefault(named, {})[f"{role}/{limit}"] = statuses
    compare("accounts", list(fold(said)))


@pytest.mark.slow
def test_each_address_of_partners_answers_each_account_as_it_did(made: Path, tmp_path: Path) -> None:
    office = Office(Path(shutil.copytree(made, tmp_path / "tinh")))
    said: dict[str, dict[str, str]] = {}
    for role in Role:
        for limit, units, partners in (("none", (), "*"), ("unit", ("H55.81",), "*"), ("partner", (), "sotttt")):
            name = f"{role}-{limit}"
            office.town.add(name, *units, role=role, partners=(partners,))
            browser = Browser(office.town, address=f"10.0.{len(said)}.{len(name)}")
            assert browser.sign_in(name).status == 303
            for address, statuses in walk(browser, list(FILED)):
                said.setdefault(address, {})[f"{role}/{limit}"] = statuses
    compare("partners", list(fold(said)))


def test_each_address_answers_nobody_as_it_did(stage: Stage, town: Town) -> None:
    browser, found = Browser(town), []
    for address in [*(each for each in ADDRESSES if "{" not in each), *FILED, "/sign-out"]:
        place = address.partition("?")[0]
        browser.get("/")
        statuses = [browser.get(address).status, browser.post(place, proof="").status]
        browser.get("/")
        statuses.append(browser.post(place).status)
        put = ConsoleRequest(method="PUT", path=tuple(filter(None, place.split("/"))))
        statuses.append(done(browser.pages.answer(put)).status)
        found.append(f"{address}: {' '.join(map(str, statuses))}")
    compare("nobody", found)
