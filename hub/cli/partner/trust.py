"""`lienthong trust`: lists and adds trust anchors and their CRLs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.cli.journal import read_view_config
from hub.cli.screen import CONFIGURATION, Screen, colour_difference, exit_command, say, t
from hub.cli.words import say_word
from hub.config import files, revocation_cache
from hub.config.editing import replace_file
from hub.config.revocation_cache import RevocationAnswer, RevocationQuestion
from hub.config.writing import write_atomically
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import Phrase, phrase
from hub.node.trust_editor import plan_trust_addition
from hub.security.certificates import hash_certificate
from hub.security.crl_ocsp import OcspAnswer, RevocationList, RevocationStatus


def list_trust(screen: Screen) -> None:
    config, now = read_view_config(screen, "pki", "trust"), datetime.now(UTC)
    known = revocation_cache.load_revocation_answers(config, now)
    lists = [RevocationList(crl) for crl in config.crls]
    lists += [one.said for one in known if isinstance(one.said, RevocationList)]
    newest = {one.issuer: one for one in sorted(lists, key=lambda one: one.begins)}
    rows = []
    for authority in config.authorities:
        crl = newest.get(authority.subject)
        rows.append(
            {
                "subject": authority.subject.rfc4514_string(),
                "sha256": hash_certificate(authority),
                "not_after": authority.not_valid_after_utc,
                "crl_issued": crl.begins if crl is not None else None,
                "crl_due": crl.ends if crl is not None else None,
                "revoked": len(crl.serials) if crl is not None else None,
            }
        )
    titles = {
        "subject": t("subject"),
        "not_after": t("ends"),
        "crl_due": t("CRL due"),
        "revoked": t("revoked"),
    }
    screen.table(titles, rows)
    if config.sources:
        if not screen.json:
            screen.note("")
        _show_asked(
            screen, {one.question.name: one for one in known}, revocation_cache.list_revocation_questions(config), now
        )


def _show_asked(
    screen: Screen, known: dict[str, RevocationAnswer], questions: list[RevocationQuestion], now: datetime
) -> None:
    """Show each question to the CAs, its answer, and the age of the answer."""
    rows = []
    for question in questions:
        one = known.get(question.name)
        said = one.said if one is not None else None
        holds = "" if said is None else say(said.flaw(now) or phrase("current"))
        rows.append(
            {
                "issuer": question.issuer.subject.rfc4514_string(),
                "url": question.urls[0],
                "about": "CRL" if question.certificate is None else question.certificate.subject.rfc4514_string(),
                "status": _say_status(screen, said.status) if isinstance(said, OcspAnswer) else None,
                "heard_at": one.at if one is not None else None,
                "issued": said.begins if said is not None else None,
                "due": said.ends if said is not None else None,
                "age": _say_age(now - one.at) if one is not None else t("no answer yet"),
                "holds": holds,
            }
        )
    titles = {
        "url": t("asked at"),
        "about": t("about"),
        "status": t("answer"),
        "age": t("age"),
        "due": t("due"),
        "holds": "",
    }
    screen.table(titles, rows)


def _say_status(screen: Screen, status: RevocationStatus) -> str:
    return status.value if screen.json else say_word("revocation", status)


def _say_age(since: timedelta) -> str:
    minutes = int(since.total_seconds()) // 60
    if minutes < 120:
        return t("{minutes} min", minutes=minutes)
    return t("{minutes} h", minutes=minutes // 60)


def add_anchor(
    screen: Screen, file: Path, crl_file: Path | None, crl_urls: tuple[str, ...], ocsp_urls: tuple[str, ...]
) -> None:
    mistakes: list[Mistake] = []

    def wrong(what: Phrase, expected: Phrase) -> None:
        mistakes.append(Mistake("trust add", what, expected))

    authorities = files.read_certificate_file(file, wrong)
    crls = files.read_crl_file(crl_file, wrong) if crl_file else ()
    if mistakes:
        screen.mistakes(mistakes)
        exit_command(CONFIGURATION)
    try:
        edit = plan_trust_addition(screen.config, authorities, crls, crl_urls, ocsp_urls, datetime.now(UTC))
    except ConfigurationFault as fault:
        screen.mistakes(fault.mistakes)
        exit_command(CONFIGURATION)
    for each in edit.files:
        if each.after is None or each.path.suffix == ".toml":
            continue
        write_atomically(each.path, each.after)
        screen.row({"file": str(each.path)}, t("Wrote {path}", path=each.path))
    for each in edit.files:
        if each.after is None or each.path.suffix != ".toml":
            continue
        kept = replace_file(each.path, each.after)
        fields = {"file": str(each.path), "diff": list(edit.diff), "kept": str(kept) if kept else None}
        shown = [colour_difference(edit.diff)] if kept else []
        screen.row(fields, "\n".join([*shown, t("Wrote {path}", path=each.path)]))
        if kept:
            screen.note(t("Old file: {kept}", kept=kept))
    screen.note(t("A running hub uses it after `lienthong reload`"))
