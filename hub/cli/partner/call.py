"""`lienthong call`: calls one operation of a partner by hand, and shows both envelopes. Records that, but no content.

Knows how a call is shown, and that secrets are not. The adapter builds the request and reads the answer.
"""

import base64
import getpass
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from xml.sax.saxutils import escape

import click
from lxml import etree

import adapters
from hub.cli.journal import open_journal
from hub.cli.partner.conversation import hold_conversation
from hub.cli.screen import FAILED, NOT_FOUND, UNAVAILABLE, USAGE, CommandStop, Screen, exit_command, say, say_count, t
from hub.config import Config, read_config
from hub.config.revocation_cache import load_revocation_answers, set_revocation_answers
from hub.delivery.partner_adapters import make_terms
from hub.domain.conversations import Reply, Request
from hub.domain.errors import Rejected
from hub.domain.sanitize import replace_controls
from hub.formats import safe_xml
from hub.journal import partner_changes
from hub.language.system_errors import name_system_error
from hub.partner.hand_calls import HandAnswer, HandCaller, UnfitCall
from hub.runtime.http_client import Unreachable
from hub.store import transactions

#: Octets of a file that a value may name, characters of a text that are shown on a screen.
_LARGEST, _SHOWN = 20_000_000, 400
_HIDDEN = "•••"
#: Header fields that are shown. Others may carry secrets: Authorization, keys of gateways.
_PLAIN_HEADERS = ("content-type", "soapaction", "retry-after", "server", "date")


def call_operation(
    screen: Screen, code: str, operation: str, values: tuple[str, ...], reason: str, dry_run: bool, full: bool
) -> None:
    config, now = read_config(screen.config, set_aside=screen.mistakes), datetime.now(UTC)
    partner = config.partners.get(code)
    if partner is None:
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    if partner.adapter not in adapters.list_adapter_names() or not partner.url:
        raise CommandStop(t("{code} has no url, or no adapter by which it is called", code=code), USAGE)
    adapter: object = adapters.make_adapter(partner.adapter, make_terms(config, partner))
    if not isinstance(adapter, HandCaller):
        raise CommandStop(
            t("the adapter {adapter} has no operations that can be called by hand", adapter=partner.adapter), USAGE
        )
    given = _read_values(values)
    hide = _Hider(partner.secrets.values())
    try:
        if dry_run:
            request = adapter.build_by_hand(operation, given, now)
            shown = _describe_request(request, hide)
            screen.row({"sent": False, "request": shown}, _say_part(t("Request, not sent"), shown, full=full))
            return
        _ = adapter.build_by_hand(operation, given, now)  # what cannot be sent is not recorded
        _record_call(config, code, operation, reason.strip(), now)
        set_revocation_answers(config, load_revocation_answers(config, now))
        exchanges: list[tuple[Request, Reply]] = []
        answer = hold_conversation(
            config,
            partner,
            adapter.call_by_hand(operation, given, now),
            lambda *exchange: exchanges.append(exchange),
        )
    except UnfitCall as unfit:
        raise CommandStop(hide(say(unfit.why)), USAGE) from None
    except Unreachable as unreachable:
        raise CommandStop(
            t("{code} is unavailable: {detail}", code=code, detail=hide(str(unreachable))), UNAVAILABLE
        ) from None
    _show_exchange(screen, exchanges[-1], answer, hide, full=full)


def _record_call(config: Config, code: str, operation: str, reason: str, now: datetime) -> None:
    with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
        partner_changes.record_hand_call(tx, code, operation, by=getpass.getuser(), reason=reason, now=now)


def _read_values(values: Iterable[str]) -> Mapping[str, str | bytes]:
    """Return the values by their keys; octets for `@FILE`."""
    found: dict[str, str | bytes] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(t("{value} is not KEY=VALUE", value=repr(value)))
        if key in found:
            raise click.UsageError(t("{key} is given twice", key=key))
        found[key] = _read_file(Path(text[1:])) if text.startswith("@") else text
    return found


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise CommandStop(
            t("{place} cannot be read: {error}", place=path, error=name_system_error(error)), USAGE
        ) from error
    if len(content) > _LARGEST:
        raise CommandStop(t("{path} has more than {count} octets", path=path, count=say_count(_LARGEST)), USAGE)
    return content


class _Hider:
    """Replaces the secrets of a partner in a text, however XML or base64 writes them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _list_forms(secret)}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)


def _list_forms(secret: str) -> Iterable[str]:
    yield secret
    yield escape(secret)
    yield escape(secret, {'"': "&quot;"})
    yield base64.b64encode(secret.encode()).decode()


def _describe_request(request: Request, hide: _Hider) -> dict[str, object]:
    headers = {name.lower(): text for name, text in request.headers}
    return {
        "url": request.url,
        "headers": {name: hide(text) if name in _PLAIN_HEADERS else _HIDDEN for name, text in headers.items()},
        "body": hide(_write_body(request.body, headers.get("content-type", ""))),
    }


def _describe_reply(reply: Reply, hide: _Hider) -> dict[str, object]:
    return {
        "status": reply.status,
        "headers": {name: hide(text) for name, text in reply.headers.items() if name in _PLAIN_HEADERS},
        "body": hide(_write_body(reply.body, reply.headers.get("content-type", ""))),
    }


def _write_body(body: bytes, media: str) -> str:
    """Return *body* to be read: XML with indented lines; of several parts the first, and the sizes of the others."""
    if not media.lower().startswith("multipart/"):
        return _write_xml(body)
    message = message_from_bytes(b"Content-Type: " + media.encode() + b"\r\n\r\n" + body, policy=HTTP)
    parts = [each.get_payload(decode=True) for each in message.walk() if not each.is_multipart()]
    octets = [each for each in parts if isinstance(each, bytes)]
    if not octets:
        return _write_xml(body)
    more = [t("[one more part: {count} octets]", count=say_count(len(each))) for each in octets[1:]]
    return "\n".join([_write_xml(octets[0]), *more])


def _write_xml(content: bytes) -> str:
    """Return XML on indented lines. What is no XML that may be parsed is returned as text."""
    try:
        root = safe_xml.parse_safe_xml(content, limits=safe_xml.Limits(size=_LARGEST * 2, plain=frozenset()))
    except Rejected:
        return content[: _LARGEST * 2].decode("utf-8", "replace")
    etree.indent(root)
    return etree.tostring(root, encoding="unicode")


def _show_exchange(
    screen: Screen, exchange: tuple[Request, Reply], answer: HandAnswer, hide: _Hider, *, full: bool
) -> None:
    request, reply = _describe_request(exchange[0], hide), _describe_reply(exchange[1], hide)
    fields: dict[str, object] = {
        "sent": True,
        "request": request,
        "reply": reply,
        "status": answer.status,
        "fault": hide(answer.fault) or None,
        "trouble": hide(answer.trouble) or None,
        "verified": answer.verified,
        "then": answer.then or None,
    }
    lines = [_say_part(t("Request"), request, full=full), _say_part(t("Reply"), reply, full=full)]
    lines += _say_verdict(fields)
    screen.row(fields, "\n\n".join(lines))
    if answer.trouble:
        exit_command(UNAVAILABLE)
    if answer.fault:
        exit_command(FAILED)


def _say_part(title: str, part: Mapping[str, object], *, full: bool) -> str:
    headers = part["headers"]
    assert isinstance(headers, Mapping)
    first = part.get("url") or f"HTTP {part['status']}"
    lines = [click.style(f"{title}: {first}", bold=True), *(f"{name}: {text}" for name, text in headers.items())]
    body = str(part["body"])
    return "\n".join([*lines, "", *map(_make_safe, (body if full else _shorten_body(body)).split("\n"))])


def _make_safe(line: str) -> str:
    return replace_controls(line.replace("\t", "  "))


def _shorten_body(body: str) -> str:
    """Return *body* with the middle of each long text left out."""

    def cut(found: re.Match[str]) -> str:
        text = found.group()
        left = t("… {count} characters …", count=say_count(len(text) - 2 * (_SHOWN // 4)))
        return f"{text[: _SHOWN // 4]}{left}{text[-(_SHOWN // 4) :]}"

    return re.sub(rf"[^<>\s]{{{_SHOWN},}}", cut, body)


def _say_verdict(fields: Mapping[str, object]) -> Iterable[str]:
    if fields["trouble"]:
        yield click.style(t("No answer that can be read: {trouble}", trouble=fields["trouble"]), fg="red")
    elif fields["fault"]:
        yield click.style(t("A fault: {fault}", fault=fields["fault"]), fg="red")
    if fields["verified"]:
        yield click.style(t("The signature of the answer is good."), fg="green")
    if fields["then"]:
        yield t("In a delivery the mapping takes this answer as: {then}", then=fields["then"])
