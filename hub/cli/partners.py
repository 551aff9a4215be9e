"""`lienthong partners`: who is connected, and one more."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import Screen, Stop, command, family, pass_screen, t
from hub.errors import ConfigurationFault

if TYPE_CHECKING:
    from hub.config import Config


@family("partners", "Hệ thống đối tác: liệt kê, thêm.", "Partners: list them, add one.")
def partners() -> None:
    pass


@command("list", "Liệt kê hệ thống đối tác.", "List the partners.", "lienthong partners list --json")
@pass_screen
def list_partners(screen: Screen) -> None:
    from hub.certificates import fingerprint
    from hub.config import read
    from hub.policy import spelled

    config = read(screen.config)
    standings = _standings(screen, config)
    rows = [
        {
            "code": partner.code,
            "name": partner.name,
            "receive": partner.receive.value,
            "url": partner.url,
            "adapter": partner.adapter,
            "upstream": partner.code == config.upstream,
            "units": list(partner.units),
            "certificates": [
                {
                    "sha256": fingerprint(certificate),
                    "subject": certificate.subject.rfc4514_string(),
                    "not_after": certificate.not_valid_after_utc,
                }
                for certificate in partner.certificates
            ],
            "policy": spelled(partner.policy),
            "standing": standings.get(partner.code),
        }
        | ({} if screen.json else {"sending": _said(standings.get(partner.code))})
        for partner in config.partners.values()
    ]
    titles = {
        "code": t("mã", "code"),
        "receive": t("nhận", "receive"),
        "sending": t("việc gửi", "sending"),
        "units": t("đơn vị", "units"),
        "name": t("tên", "name"),
    }
    screen.table(titles, rows)


def _standings(screen: Screen, config: "Config") -> dict[str, dict[str, object]]:
    """Return how it goes with each partner that is pushed to; none, with a word about it, when the journal does not open."""
    from hub import partners, store
    from hub.cli.journal import opened
    from hub.model import Receive
    from hub.partners import Standing

    try:
        with opened(config) as engine, store.reading(engine) as tx:
            every, under_way = partners.every(tx), partners.under_way(tx)
    except (Stop, ConfigurationFault) as error:
        screen.note(f"Không đọc được nhật ký: {error}", f"The journal cannot be read: {error}")
        return {}
    found: dict[str, dict[str, object]] = {}
    for code in (code for code, partner in config.partners.items() if partner.receive is Receive.PUSH):
        standing = every.get(code, Standing())
        stands, pause = standing.breaker, standing.pause
        found[code] = {
            "breaker": stands.position.value,
            "failures": stands.failures,
            "opened": stands.opened,
            "until": stands.until,
            "reason": stands.reason,
            "paused": None if pause is None else {"at": pause.at, "by": pause.by, "reason": pause.reason},
            "under_way": under_way.get(code, 0),
        }
    return found


def _said(standing: Mapping[str, object] | None) -> str:
    """Return in a word or two whether anything is sent."""
    match standing:
        case None:
            return ""
        case {"paused": {"by": by, "reason": reason}}:
            return t(f"tạm ngừng bởi {by}: {reason}", f"paused by {by}: {reason}")
        case {"breaker": "closed"}:
            return t("bình thường", "as usual")
        case {"reason": reason}:
            return t(f"không liên lạc được: {reason}", f"unavailable: {reason}")[:80]
    return ""


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(t(f"{value!r} không có dạng KEY=VALUE", f"{value!r} is not KEY=VALUE"))
    return dict(value.split("=", 1) for value in values)


@command(
    "add",
    "Thêm hệ thống đối tác CODE: kiểm tra, rồi ghi partners/CODE.toml và chứng thư của nó.\n\n"
    "Trục đang chạy nhận biết sau `lienthong reload`. Đơn vị chưa có trong sổ đăng ký được thêm vào và đánh dấu. "
    "Khóa của --policy: signature=message|packet|both, profile=observed|strict, sha1=no|yes, vxp-signature=no|yes, max-age=900s, "
    "clock-skew=60s, revocation=configured|require|allow, relay=CODE, first-retry=1s, max-retry=5m, give-up=14d, timeout=30s, concurrency=4, rate=none|20/s.",
    "Add the partner CODE: check what is given, then write partners/CODE.toml and its certificate.\n\n"
    "A running hub takes it up on `lienthong reload`. A unit the registry does not know is added, and marked so. "
    "Keys of --policy: signature=message|packet|both, profile=observed|strict, sha1=no|yes, vxp-signature=no|yes, max-age=900s, "
    "clock-skew=60s, revocation=configured|require|allow, relay=CODE, first-retry=1s, max-retry=5m, give-up=14d, timeout=30s, concurrency=4, rate=none|20/s.",
    "lienthong partners add soyte --certificate soyte.crt --unit H55.14 --fetch",
    "lienthong partners add motcua --certificate motcua.crt --unit H55.20 \\",
    "    --push https://10.0.0.5/soap/documents --policy timeout=10s",
    "lienthong partners add thu --certificate thu.crt --unit '*'",
)
@click.argument("code")
@click.option(
    "--certificate",
    "certificate_files",
    multiple=True,
    required=True,
    metavar=t("TỆP", "FILE"),
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=t(
        "Chứng thư PEM; có thể lặp lại khi đang thay chứng thư.",
        "PEM certificate; repeat it while one replaces another.",
    ),
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar=t("MÃ", "CODE"),
    help=t(
        "Đơn vị của hệ thống này; '*': được gửi thay mọi đơn vị.",
        "A unit of this system; '*': it may send for any unit.",
    ),
)
@click.option("--fetch", is_flag=True, help=t("Hệ thống tự lấy về.", "The system fetches what is for its units."))
@click.option("--push", metavar="URL", help=t("Trục đẩy tới URL này.", "The hub pushes to this URL."))
@click.option("--name", help=t("Tên hiển thị.", "The name to show."))
@click.option("--adapter", help=t("Bộ chuyển đổi; mặc định documents.", "The adapter; default documents."))
@click.option(
    "--policy",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help=t("Quy ước; lặp lại được.", "Policy; repeatable."),
)
@click.option("--replace", is_flag=True, help=t("Thay đối tác đã có.", "Replace the partner if there is one."))
@pass_screen
def add(
    screen: Screen,
    code: str,
    certificate_files: tuple[Path, ...],
    units: tuple[str, ...],
    fetch: bool,
    push: str | None,
    name: str | None,
    adapter: str | None,
    policy: Mapping[str, str],
    replace: bool,
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from hub import registry, store
    from hub.agreement import partner_mistakes
    from hub.cli.journal import opened
    from hub.config import ANY, read
    from hub.config.writing import partner_toml, put
    from hub.hanoi import day

    if fetch and push:
        raise click.UsageError(t("chọn --fetch hoặc --push", "choose --fetch or --push"))
    place = screen.config.absolute().parent / "partners"
    if (place / f"{code}.toml").exists() and not replace:
        raise Stop(f"đã có đối tác {code}; dùng --replace để thay", f"there is a partner {code}; --replace replaces it")

    def text(certificates: list[str]) -> str:
        receive = "fetch" if fetch else "push" if push else "none"
        return partner_toml(
            name=name or code,
            certificates=certificates,
            units=units,
            receive=receive,
            url=push,
            adapter=adapter,
            policy=policy,
        )

    config = read(screen.config, candidates={code: text([str(file.absolute()) for file in certificate_files])})
    partner = config.partners[code]
    named = [unit for unit in partner.units if unit != ANY]
    with opened(config) as engine:
        with store.reading(engine) as tx:
            known = registry.roll(tx, day(datetime.now(UTC)))
        mistakes = partner_mistakes(config, code, known, datetime.now(UTC))
        if mistakes:
            raise ConfigurationFault(mistakes)
        with store.writing(engine) as tx:
            added = registry.add_missing(tx, named)
    names = [f"{code}.crt", *(f"{code}-{number}.crt" for number in range(2, len(partner.certificates) + 1))]
    for file, certificate in zip(names, partner.certificates, strict=True):
        chain = partner.chain if file == names[0] else ()
        put(place / file, b"".join(one.public_bytes(Encoding.PEM) for one in (certificate, *chain)))
    put(place / f"{code}.toml", text([f"partners/{file}" for file in names]).encode())
    screen.row(
        {"code": code, "file": str(place / f"{code}.toml"), "units_added": added},
        t(f"Đã ghi {place / code}.toml", f"Wrote {place / code}.toml"),
    )
    if added:
        screen.note(f"Đã thêm đơn vị: {', '.join(added)}", f"Added the units {', '.join(added)}")
    screen.note("Trục đang chạy nhận biết sau `lienthong reload`", "A running hub takes it up on `lienthong reload`")


partners.add_command(list_partners)
partners.add_command(add)
