"""`lienthong trust`: whose certificates are believed, and which are revoked."""

from datetime import UTC, datetime
from pathlib import Path

import click

from hub.cli.screen import CONFIGURATION, Screen, command, family, leave, pass_screen, t
from hub.errors import Mistake

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@family("trust", "Chứng thư gốc (CA) và danh sách thu hồi (CRL).", "Trust anchors (CA certificates) and CRLs.")
def trust() -> None:
    pass


@command("list", "Liệt kê chứng thư gốc và CRL của nó.", "List the anchors and their CRLs.", "lienthong trust list")
@pass_screen
def list_trust(screen: Screen) -> None:
    from hub.certificates import fingerprint
    from hub.config import read

    config = read(screen.config)
    newest = {crl.issuer: crl for crl in sorted(config.crls, key=lambda crl: crl.last_update_utc)}
    rows = []
    for authority in config.authorities:
        crl = newest.get(authority.subject)
        rows.append(
            {
                "subject": authority.subject.rfc4514_string(),
                "sha256": fingerprint(authority),
                "not_after": authority.not_valid_after_utc,
                "crl_issued": crl.last_update_utc if crl is not None else None,
                "crl_due": crl.next_update_utc if crl is not None else None,
                "revoked": len(crl) if crl is not None else None,
            }
        )
    titles = {
        "subject": t("chủ thể", "subject"),
        "not_after": t("hết hạn", "ends"),
        "crl_due": t("CRL đến hạn", "CRL due"),
        "revoked": t("đã thu hồi", "revoked"),
    }
    screen.table(titles, rows)


@command(
    "add",
    "Tin chứng thư gốc trong FILE (PEM); --crl là danh sách thu hồi của nó.\n\n"
    "Chạy lại với CRL mới để thay CRL cũ. Trục đang chạy nhận biết sau `lienthong reload`.",
    "Trust the anchors in FILE (PEM); --crl is their revocation list.\n\n"
    "Run it again with a newer CRL to replace the old one. A running hub takes it up on `lienthong reload`.",
    "lienthong trust add rootca.crt --crl rootca.crl",
)
@click.argument("file", type=_FILE)
@click.option("--crl", "crl_file", type=_FILE, metavar=t("TỆP", "FILE"), help=t("CRL dạng PEM.", "A PEM CRL."))
@pass_screen
def add(screen: Screen, file: Path, crl_file: Path | None) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from hub.certificates import fingerprint
    from hub.config import files, read
    from hub.config.trusting import judge
    from hub.config.writing import put

    config = read(screen.config)
    mistakes: list[Mistake] = []

    def wrong(what: str, expected: str) -> None:
        mistakes.append(Mistake("trust add", what, expected))

    authorities = files.certificates(file, wrong)
    crls = files.revocations(crl_file, wrong) if crl_file else ()
    mistakes += judge(authorities, crls, config.crls, datetime.now(UTC))
    if mistakes:
        screen.mistakes(mistakes)
        leave(CONFIGURATION)
    stem = config.path.parent / "trust" / fingerprint(authorities[0])[:16]
    written = {stem.with_suffix(".crt"): b"".join(one.public_bytes(Encoding.PEM) for one in authorities)}
    if crls:
        written[stem.with_suffix(".crl")] = b"".join(one.public_bytes(Encoding.PEM) for one in crls)
    for path, content in written.items():
        put(path, content)
        screen.row({"file": str(path)}, t(f"Đã ghi {path}", f"Wrote {path}"))
    screen.note("Trục đang chạy nhận biết sau `lienthong reload`", "A running hub takes it up on `lienthong reload`")


trust.add_command(list_trust)
trust.add_command(add)
