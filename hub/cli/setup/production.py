"""`lienthong init --production` and `lienthong enroll`: a hub of a province, and its first certificate."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from shlex import quote
from typing import Any

import attrs
import click

from hub.cli.accounts.users import choose_password, show_password
from hub.cli.carrying import stop_refused
from hub.cli.person import name_person
from hub.cli.screen import CONFIGURATION, EXISTING_FILE, CommandStop, Screen, exit_command, make_file_stop, say, t
from hub.config import files
from hub.config.hub_tables import PROVINCE
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import Phrase
from hub.node import init_production as writing
from hub.node.check import check_config
from hub.node.init_production import ProductionAnswers, TrustGiven, take_certificate
from hub.node.init_province import choose_ports
from hub.operations.accounts import account_operations, desk
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.desk import make_user
from hub.operations.accounts.permissions import Role
from hub.security.certificate_request import LONGEST, normalise_server_name
from hub.security.sample_pki import KeyType

#: What has no default, in the order in which a person is asked.
_NEEDED = ("province", "name", "organization", "dns", "administrator")
#: What a person is asked beside that; each question has its default.
_ASKED = ("data", "database", "soap_host", "admin_host", "ca", "units")
#: Where the packages of Linux keep what changes (Filesystem Hierarchy Standard 3.0, 5.8), beside a directory in /etc.
_SYSTEM, _SYSTEM_DATA = Path("/etc/lienthong"), "/var/lib/lienthong"


# --- init ------------------------------------------------------------------------------------------------------------


def refuse_production_options(given: Mapping[str, Any]) -> None:
    """End the command if an option of `--production` was given without it."""
    for name, value in given.items():
        if value and name != "country":
            raise click.UsageError(t("--{option} goes with --production", option=name.replace("_", "-")))


def init_production(screen: Screen, directory: Path, given: Mapping[str, Any]) -> None:
    """Write a hub for production into *directory*, as *given* by options, the answers file and a person."""
    given = _ask_for_settings(directory, given)
    now = datetime.now(UTC)
    password, hashed = choose_password(given["administrator"], given["password_file"], once=not given["password_file"])
    try:
        answers = _make_answers(given, hashed, now, must_change=not given["password_file"])
        units = writing.write_production(directory, answers, now, name_person())
    except writing.AlreadyThere as there:
        raise CommandStop(say(there.args[0])) from None
    except AccountRefused as refused:
        stop_refused(account_operations.TOPIC, refused)
    config, request = directory / "hub.toml", directory / writing.REQUEST
    row = {
        "config": str(config),
        "request": str(request),
        "soap_port": answers.soap[1],
        "admin_port": answers.admin[1],
        "units": len(units),
        "administrator": answers.administrator.name,
    }
    show_password(screen, row, t("Wrote {config}.", config=config), password)
    for line in _list_next_steps(config, request, answers, units=len(units)):
        screen.note(line)


def _ask_for_settings(directory: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, completed by what a person types on a terminal and by defaults.

    Ends the command if something is needed and nobody can be asked.
    """
    told = dict(given)
    context = click.get_current_context()
    prompts = sys.stdin.isatty() and sys.stderr.isatty()
    missing = [name for name in _NEEDED if not told[name]]
    if missing and not prompts:
        names = ", ".join(f"--{name}" for name in missing)
        raise click.UsageError(t("--production needs {names}, or a terminal on which to ask", names=names))
    defaults: dict[str, Any] = {
        "data": _SYSTEM_DATA if directory.absolute() == _SYSTEM else "data",
        "soap_host": "0.0.0.0",  # noqa: S104 - the port for partners: every caller shows a certificate
        "admin_host": "127.0.0.1",
        "ca": None,
        "units": None,
    }
    for name in (*_NEEDED, *_ASKED):
        if told[name]:
            continue
        default = f"sqlite:///{told['data']}/hub.db" if name == "database" else defaults.get(name)
        if not prompts or (name not in _NEEDED and context.default_map):
            told[name] = default
            continue
        offered = default or ("" if name in {"ca", "units"} else None)
        told[name] = click.prompt(
            _say_question(name), default=offered, value_proc=partial(_read_answer, name), err=True
        )
    return told


def _read_answer(name: str, text: str) -> Any:
    """Return what a person typed as the value of the option *name*. Raises click.UsageError: it is asked again."""
    if name == "dns":
        return _fit_option(name, tuple(text.replace(",", " ").split()))
    if name in {"ca", "units"}:
        return EXISTING_FILE.convert(text, None, click.get_current_context()) if text else None
    return _fit_option(name, text)


def _fit_option(name: str, value: Any) -> Any:
    """Return the value of one option, in the form that is written. Raises click.UsageError if it does not fit."""
    try:
        match name:
            case "province" if re.fullmatch(PROVINCE, value) is None:
                raise click.UsageError(t("--province: {value} is not a code such as H55", value=repr(value)))
            case "country" if re.fullmatch("[A-Z]{2}", value) is None:
                raise click.UsageError(t("--country: {value} is not two letters such as VN", value=repr(value)))
            case "organization" if len(value) > LONGEST:
                raise click.UsageError(t("--organization has at most {longest} characters", longest=LONGEST))
            case "dns":
                return tuple(dict.fromkeys(map(normalise_server_name, value)))
            case "soap_host" | "admin_host":
                return str(ip_address(value))
            case "administrator":
                return make_user(value, Role.ADMINISTRATOR, (), (), datetime.now(UTC)).name
    except AccountRefused as refused:
        raise click.UsageError(f"--administrator: {say(refused.why)}") from None
    except ValueError as error:
        if name == "dns":
            wrong = t("--dns: {value} is neither a host name with a dot nor an IP address", value=repr(str(error)))
            raise click.UsageError(wrong) from None
        option = name.replace("_", "-")
        raise click.UsageError(t("--{name}: {value} is not an IP address", name=option, value=value)) from None
    return value


def _say_question(name: str) -> str:
    return {
        "province": t("Code of the province, such as H55"),
        "name": t("Name of the hub, for display"),
        "organization": t("Agency that answers for the hub"),
        "dns": t("Host names by which partners call it, the public one first"),
        "administrator": t("Name of the first administrator"),
        "data": t("Data directory"),
        "database": t("Database"),
        "soap_host": t("Address of the SOAP port"),
        "admin_host": t("Address of the admin port"),
        "ca": t("File with the certificate of your CA (empty: later)"),
        "units": t("CSV file of the units (empty: later)"),
    }[name]


def _make_answers(given: Mapping[str, Any], hashed: str, now: datetime, *, must_change: bool) -> ProductionAnswers:
    """Return the answers as values. Ends the command at the first that does not fit."""
    fits = {name: _fit_option(name, given[name]) for name in (*_NEEDED, "country", "soap_host", "admin_host")}
    ports = choose_ports(given["soap_port"], given["admin_port"])
    user = desk.make_user(fits["administrator"], Role.ADMINISTRATOR, (), (), now)
    return ProductionAnswers(
        name=fits["name"],
        province=fits["province"],
        organization=fits["organization"],
        country=fits["country"],
        servers=fits["dns"],
        data=str(given["data"]),
        soap=(fits["soap_host"], ports.soap),
        admin=(fits["admin_host"], ports.admin),
        database=given["database"],
        password_file=given["database_password_file"],
        key_type=KeyType(given["key_type"]),
        trust=read_trust(given["ca"], given["crl"], given["crl_url"], given["ocsp_url"]),
        units=(given["units"].name, given["units"].read_bytes()) if given["units"] else None,
        administrator=attrs.evolve(user, must_change=must_change),
        password=hashed,
    )


def _list_next_steps(config: Path, request: Path, answers: ProductionAnswers, *, units: int) -> list[str]:
    """Return what is still to be done, in order."""
    typed = f"lienthong -c {quote(str(config))}"
    steps = [
        t("Send {request} to your CA. What it issues: {typed} enroll FILE", request=request, typed=typed)
        if answers.trust.authorities
        else t(
            "Send {request} to your CA. What it issues, with the CA's own certificate: {typed} enroll FILE --ca FILE",
            request=request,
            typed=typed,
        )
    ]
    if not units:
        steps.append(t("Name the units: {typed} units import FILE, after that", typed=typed))
    steps.append(t("{typed} doctor, then start the hub", typed=typed))
    return [t("Next:"), *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]


# --- enroll ----------------------------------------------------------------------------------------------------------


def read_trust(ca: Path | None, crl: Path | None, crl_urls: tuple[str, ...], ocsp_urls: tuple[str, ...]) -> TrustGiven:
    """Return what the options say of the CA. Ends the command with the mistakes in its files."""
    mistakes: list[Mistake] = []

    def wrong(what: Phrase, expected: Phrase) -> None:
        mistakes.append(Mistake("trust", what, expected))

    if ca is None and (crl or crl_urls or ocsp_urls):
        raise click.UsageError(t("--crl, --crl-url and --ocsp-url go with --ca"))
    authorities = files.read_certificate_file(ca, wrong) if ca else ()
    crls = files.read_crl_file(crl, wrong) if crl else ()
    if mistakes:
        raise ConfigurationFault(mistakes)
    return TrustGiven(authorities=authorities, crls=crls, crl_urls=crl_urls, ocsp_urls=ocsp_urls)


def enroll(
    screen: Screen,
    file: Path,
    ca: Path | None,
    crl: Path | None,
    crl_url: tuple[str, ...],
    ocsp_url: tuple[str, ...],
) -> None:
    now = datetime.now(UTC)
    try:
        taken = take_certificate(screen.config, file.read_bytes(), read_trust(ca, crl, crl_url, ocsp_url), now)
    except OSError as error:
        raise make_file_stop(error.filename, error) from error
    name, ends = taken.subject.rfc4514_string(), taken.not_valid_after_utc
    screen.row(
        {"subject": name, "not_after": ends},
        t("The hub is {name}, until {day}.", name=name, day=f"{ends:%Y-%m-%d}"),
    )
    if mistakes := check_config(screen.config, now).mistakes:
        screen.note(t("Still to do:"))
        screen.mistakes(mistakes)
        exit_command(CONFIGURATION)
    screen.note(t("Everything is right."))
