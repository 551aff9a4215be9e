"""The commands of `hub/cli/partner`: names, help and options. What runs stands in the module each names."""

from collections.abc import Mapping
from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, WholeNumber, command, command_group, t
from hub.language.phrases import phrase

#: Add the options of every command that changes a partner.
WRITING_OPTIONS = (
    click.option("--reason", default="", help=t("Why; it is recorded.")),
    click.option("--dry-run", is_flag=True, help=t("Only show the difference.")),
    click.option(
        "--reload", is_flag=True, help=t("Make the running hub use it at once; what it refuses is taken back.")
    ),
)

#: Add the options about a WSDL.
WSDL_OPTIONS = (
    click.option(
        "--wsdl",
        metavar="URL|" + t("FILE"),
        help=t("The WSDL of the partner: it is fetched with all that it imports, and kept in partners/CODE/."),
    ),
    click.option(
        "--operation",
        "operations",
        multiple=True,
        metavar=t("NAME"),
        help=t("An operation of the WSDL, in the order of the calls; repeatable."),
    ),
    click.option("--port", metavar=t("NAME"), help=t("The port of the WSDL; default: the first one.")),
    click.option("--url", help=t("The endpoint of a partner with a WSDL; default: the address in it.")),
    click.option(
        "--allow-host",
        "hosts",
        multiple=True,
        metavar="HOST",
        help=t("Fetch what the WSDL imports from this host, too."),
    ),
    click.option("--allow-http", "plain", is_flag=True, help=t("Fetch the WSDL over http, too.")),
    click.option(
        "--ca",
        "authorities",
        multiple=True,
        metavar=t("FILE"),
        type=EXISTING_FILE,
        help=t("A CA to trust where the WSDL is fetched, beside those of the machine and of trust/."),
    ),
    click.option("--as-hub", is_flag=True, help=t("Show the hub's certificate where the WSDL is fetched.")),
)


call_operation = command(
    "call",
    t(
        "Call one operation of the partner CODE by hand, and show both envelopes.\n\nThe call goes the way of every call "
        "to this partner: its URL, TLS, signature and verification are those of its file and its mapping. KEY is the path "
        "of a part of the request, as in a mapping; VALUE is a text, in which {settings.NAME} and {secrets.NAME} stand for "
        "the partner's own, or @FILE for the octets of a file. What the mapping gives the operation without a message, "
        "such as a user and a password, need not be given. Secrets are not shown. That it was called is recorded, what it "
        "was sent is not. The partner may act on the call.\n\nExits 1 if the partner answers with a fault, 69 if no answer comes that can be read."
    ),
    "lienthong call dvc DangNhap --dry-run",
    "lienthong call dvc GuiHoSo maTin=thu-1 noiDung=@hoso.xml",
    "lienthong call dvc TrangThai ma=123 --json | jq -r .reply.body",
    runs="hub.cli.partner.call:call_operation",
    options=(
        click.argument("code", metavar="CODE"),
        click.argument("operation", metavar="OPERATION"),
        click.argument("values", nargs=-1, metavar="[KEY=VALUE]..."),
        click.option("--reason", default="", help=t("Why; it is recorded.")),
        click.option("--dry-run", is_flag=True, help=t("Only show the request.")),
        click.option("--full", is_flag=True, help=t("Do not shorten long texts.")),
    ),
)


set_partner = command(
    "set",
    t(
        "Set keys of the partner CODE: KEY=VALUE; of a list also KEY+=VALUE and KEY-=VALUE, with commas between several. "
        "Keys are those of its file, such as name, url, units, policy.timeout, settings.user.\n\nThe new file is checked as "
        "by `check` before it is written. Comments, order and all other keys stay. The difference is printed, the old "
        "file is kept beside it (.old)."
    ),
    "lienthong partners set soyte policy.timeout=10s --reload",
    "lienthong partners set soyte units+=H55.14.02 calls=documents,mail --dry-run",
    'lienthong partners set soyte receive=push url=https://10.0.0.5/soap/documents --reason "máy chủ mới"',
    "lienthong partners set soyte receive=fetch --unset url --unset policy.timeout",
    runs="hub.cli.partner.change:set_partner",
    options=(
        click.argument("code"),
        click.argument("assignments", metavar="[KEY=VALUE]...", nargs=-1),
        click.option(
            "--unset", multiple=True, metavar="KEY", help=t("Remove a key, so that its default holds; repeatable.")
        ),
        *WRITING_OPTIONS,
    ),
)

add_certificate = command(
    "add",
    t(
        "Accept the certificate in FILE (PEM or DER, its chain after it) too, for TLS and for signatures.\n\nThe partner's "
        "other certificates stay in force, so that it may change from one to the other at any time. Afterwards remove the "
        "old one."
    ),
    "lienthong partners certificate add soyte soyte-2027.crt --reload",
    runs="hub.cli.partner.change:add_certificate",
    options=(click.argument("code"), click.argument("file", type=EXISTING_FILE), *WRITING_OPTIONS),
)

remove_certificate = command(
    "remove",
    t(
        "Accept a certificate of the partner no longer. FINGERPRINT: the beginning of its SHA-256, at least 8 digits, as "
        "`partners show` prints it, or its file.\n\nThe last certificate that is valid is kept unless --last is given. "
        "The file of the certificate stays where it is."
    ),
    "lienthong partners certificate remove soyte 3f0c9a11 --reload",
    runs="hub.cli.partner.change:remove_certificate",
    options=(
        click.argument("code"),
        click.argument("fingerprint", metavar="FINGERPRINT"),
        click.option("--last", is_flag=True, help=t("Remove it even if it is the last one that is valid.")),
        *WRITING_OPTIONS,
    ),
)

certificate = command_group(
    "certificate",
    t("The certificates of a partner: accept one more, or one no longer."),
    commands=(add_certificate, remove_certificate),
)


try_connection = command(
    "test",
    t(
        "Test the connection with the partner CODE in both directions: each step with a verdict and what to do.\n\nThe hub "
        "to the partner: name, TCP, TLS with each certificate, a harmless GET. The partner to the hub: its certificates, "
        "rights, last call, what was refused today. No document is sent. Exits 69 if the way to the partner fails, 1 if "
        "only the other way does."
    ),
    "lienthong partners test soyte",
    "lienthong partners test soyte --json | jq 'select(.verdict == \"failed\")'",
    runs="hub.cli.partner.connection:try_connection",
    options=(click.argument("code"),),
)


_WRITTEN = click.Path(dir_okay=False, writable=True, path_type=Path)

make_partner_kit = command(
    "kit",
    t(
        "Show which first messages the partner CODE has exchanged, and write the file for its developers.\n\nThe ZIP "
        "file has a page in both languages, the contracts, the hub's certificates, the error list and signed samples "
        "of each operation. It contains no private key. The samples are signed with a throw-away key that no hub "
        "accepts."
    ),
    "lienthong partners kit soyte",
    "lienthong partners kit soyte -o soyte.zip",
    runs="hub.cli.partner.kit:make_partner_kit",
    options=(
        click.argument("code"),
        click.option("-o", "--output", type=_WRITTEN, metavar=t("FILE"), help=t("Write the ZIP file.")),
    ),
)

invite_partner = command(
    "invite",
    t(
        "Write the kit of the partner CODE with a letter to its developers, in Vietnamese and English: one file to mail.\n\n"
        "The letter says the address and the contract, and what to send back: a certificate or a request for one, units, a "
        "test window, a contact. It sends nothing and issues no certificate. Take the answer in by `partners certificate "
        "add`."
    ),
    "lienthong partners invite soyte",
    'lienthong partners invite soyte -o soyte.zip --contact "Trần Văn A, 0261 123 456" --window "01/12/2026, 14:00-16:00"',
    runs="hub.cli.partner.kit:invite_partner",
    options=(
        click.argument("code"),
        click.option(
            "-o",
            "--output",
            type=_WRITTEN,
            metavar=t("FILE"),
            help=t("Write this file; without it lienthong-CODE-invitation.zip."),
        ),
        click.option("--contact", default="", help=t("Who answers questions.")),
        click.option("--window", default="", help=t("When to test.")),
    ),
)


list_partners = command(
    "list",
    t("List the partners. Exits 3 if the file of one has mistakes, which are named."),
    "lienthong partners list --json",
    runs="hub.cli.partner.partners:list_partners",
)


def _read_pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(t("{value} is not KEY=VALUE", value=repr(value)))
    return dict(value.split("=", 1) for value in values)


#: Words for a list of names: none, and those of a new partner.
NONE, DEFAULT = "none", "default"


def _read_name_list(_context: click.Context, _option: click.Parameter, value: str | None) -> "tuple[str, ...] | None":
    """Return the names in a LIST. `default` are those of a new partner."""
    from hub.intake.grants import NEW_CALLS

    if value is None:
        return None
    if value == DEFAULT:
        return NEW_CALLS
    return () if value == NONE else tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


add_partner = command(
    "add",
    t(
        "Add the partner CODE: check the input, then write partners/CODE.toml and its "
        "certificate.\n\nWith --replace, only the given options change in the existing file: comments and "
        "other keys stay. The difference is printed, and the old file is kept beside it (.old). A "
        "running hub uses it after `lienthong reload`. With --wsdl, the partner is called by its WSDL: the file and all "
        "that it imports are fetched once and kept in partners/CODE/ with their SHA-256, beside a mapping to fill in; the "
        "hub does not push to it until receive is set. With --replace a new version of the WSDL is laid into a new folder, "
        "with the mapping in force. A unit that the registry does not contain is "
        "added and marked. Keys of --policy: signature=message|packet|both, profile=observed|strict, "
        "sha1=no|yes, vxp-signature=no|yes, max-age=900s, clock-skew=60s, "
        "revocation=configured|require|allow, relay=CODE, first-retry=1s, max-retry=5m, give-up=14d, "
        "timeout=30s, concurrency=4, rate=none|20/s, intake-concurrency=200, intake-rate=none|20/s, "
        "intake-connections=256, intake-spool=1024MiB."
    ),
    "lienthong partners add soyte --certificate soyte.crt --unit H55.14 --fetch",
    "lienthong partners add motcua --certificate motcua.crt --unit H55.20 \\",
    "    --push https://10.0.0.5/soap/documents --policy timeout=10s",
    "lienthong partners add soc --certificate soc.crt --tells '*'",
    "lienthong partners add soyte --certificate soyte-2027.crt --replace --dry-run",
    "lienthong partners add soyte --calls documents,mail,lookups.VerifyCitizen --replace",
    "lienthong partners add dvc --wsdl https://dvc.example.vn/DichVu.asmx?wsdl --operation GuiHoSo",
    runs="hub.cli.partner.adding:add_partner",
    options=(
        click.argument("code"),
        click.option(
            "--certificate",
            "certificate_files",
            multiple=True,
            metavar=t("FILE"),
            type=EXISTING_FILE,
            help=t(
                "PEM certificate; repeatable during a change of certificates. Required for a new partner.",
            ),
        ),
        click.option(
            "--unit",
            "units",
            multiple=True,
            metavar=t("CODE"),
            help=t(
                "A unit of this partner; '*': the partner may send for any unit.",
            ),
        ),
        click.option(
            "--calls",
            metavar=t("LIST"),
            callback=_read_name_list,
            help=t(
                "Services and operations that it may call, separated by commas; none: nothing; default: documents, as for a new partner.",
            ),
        ),
        click.option(
            "--tells",
            type=click.Choice(["*", NONE]),
            metavar="'*'",
            help=t(
                "'*': it may report figures about any unit, but not send for it; none: remove this right.",
            ),
        ),
        click.option("--fetch", is_flag=True, help=t("The partner fetches the messages for its units.")),
        click.option("--push", metavar="URL", help=t("The hub pushes to this URL.")),
        click.option("--name", help=t("The displayed name.")),
        click.option("--adapter", help=t("The adapter; default documents.")),
        click.option(
            "--policy",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_read_pairs,
            help=t("A policy value; repeatable."),
        ),
        *WSDL_OPTIONS,
        click.option("--replace", is_flag=True, help=t("Change an existing partner.")),
        click.option("--dry-run", is_flag=True, help=t("Only show the difference.")),
    ),
)

grants_command = command(
    "grants",
    t(
        "Show what each partner may call; --propose makes the key calls from what it has called.\n\nThe "
        "proposal comes from accepted messages: by service; for lookups by operation. Queries (Get…, "
        "List…) leave no trace in the journal: add their services by `partners add CODE --calls … "
        "--replace`. A partner that has sent nothing gets no proposal. The difference is printed; --yes "
        "also writes it, and keeps the old file (.old)."
    ),
    "lienthong partners grants",
    "lienthong partners grants --propose",
    "lienthong partners grants soyte --propose --since 2026-01-01 --yes",
    runs="hub.cli.partner.granting:grants_command",
    options=(
        click.argument("codes", nargs=-1, metavar="[CODE]..."),
        click.option("--propose", is_flag=True, help=t("Make a proposal.")),
        click.option(
            "--since",
            type=click.DateTime(["%Y-%m-%d"]),
            metavar=t("DAY"),
            help=t("Only from this day on (Hà Nội)."),
        ),
        click.option("--yes", is_flag=True, help=t("Write the proposal into the files.")),
    ),
)

partners = command_group(
    "partners",
    t("Partners: list them, add, change, test or remove one, what each may call."),
    table={
        "show": ("hub.cli.partner.commands:show_partner", phrase("Show all that is known of one partner.")),
        "set": ("hub.cli.partner.commands:set_partner", phrase("Set keys of a partner.")),
        "certificate": (
            "hub.cli.partner.commands:certificate",
            phrase("The certificates of a partner: accept one more, or one no longer."),
        ),
        "test": (
            "hub.cli.partner.commands:try_connection",
            phrase("Test the connection with a partner in both directions."),
        ),
        "remove": ("hub.cli.partner.commands:remove_partner", phrase("Remove a partner.")),
        "kit": (
            "hub.cli.partner.commands:make_partner_kit",
            phrase("First messages of a partner, and the file for it"),
        ),
        "invite": ("hub.cli.partner.commands:invite_partner", phrase("A file to mail to a partner's developers")),
        "simulate": ("hub.cli.partner.commands:simulate_partner", phrase("Be a partner that answers as told")),
    },
    commands=(list_partners, add_partner, grants_command),
)


remove_partner = command(
    "remove",
    t(
        "Remove the partner CODE. Prints what that means; --yes does it.\n\nRefused while deliveries to it wait, are held or "
        "dead: replay them, give them up, or leave them in the journal with --leave-deliveries. Its messages stay, and can "
        "be found and shown as before. Its file is kept as CODE.toml.old, its certificates and the folder of its mapping stay."
    ),
    'lienthong partners remove soyte --reason "hệ thống cũ đã bỏ"',
    'lienthong partners remove soyte --reason "hệ thống cũ đã bỏ" --yes --reload',
    runs="hub.cli.partner.removal:remove_partner",
    options=(
        click.argument("code"),
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
        click.option(
            "--leave-deliveries",
            is_flag=True,
            help=t("Remove it although deliveries wait: they go on when a partner of that code is added again."),
        ),
        click.option("--yes", is_flag=True, help=t("Do it.")),
        click.option(
            "--reload", is_flag=True, help=t("Make the running hub use it at once; what it refuses is taken back.")
        ),
    ),
)

remove_anchor = command(
    "remove",
    t(
        "Trust a CA no longer. FINGERPRINT: the beginning of its SHA-256, at least 8 digits, or its file.\n\nSays whose "
        "certificates would no longer be verified, and then needs --yes. Its files in trust/ are kept as NAME.old. Refused "
        "if the hub's own certificate needs it."
    ),
    "lienthong trust remove 3f0c9a11",
    'lienthong trust remove trust/3f0c9a110b7d2e44.crt --reason "CA đã ngừng" --yes --reload',
    runs="hub.cli.partner.removal:remove_anchor",
    options=(
        click.argument("fingerprint", metavar="FINGERPRINT"),
        click.option("--reason", default="", help=t("Why; it is recorded.")),
        click.option("--yes", is_flag=True, help=t("Do it.")),
        click.option(
            "--reload", is_flag=True, help=t("Make the running hub use it at once; what it refuses is taken back.")
        ),
    ),
)


show_partner = command(
    "show",
    t(
        "Show all that is known of the partner CODE: each setting with its default and the line of the file that sets it, "
        "the certificates with the days left, what it may call, and how the exchange with it stands."
    ),
    "lienthong partners show soyte",
    "lienthong partners show soyte --json | jq '.settings[] | select(.line)'",
    runs="hub.cli.partner.show:show_partner",
    options=(
        click.argument("code"),
        click.option("--changed", is_flag=True, help=t("Of the settings, only those that the file sets.")),
    ),
)


simulate_partner = command(
    "simulate",
    t(
        "Be the partner CODE: serve SendDocument over TLS, check each call of the hub (signature, contract, packet), "
        "and answer as told, until Ctrl-C.\n\nAnswers: accept · refuse:CODE:DETAIL · slow:SECONDS · down · garbage · "
        "timeout. Type another one and press Enter to change it while it runs. A script gives one answer a line; `xN` "
        "behind an answer is for N calls, and after the last line --answer holds again.\n\nThe partner's key and "
        "certificate are pki/partners/CODE.key and .crt. Without them, and without a file partners/CODE.toml, they "
        "are made with the sample CA, and the lines of the partner's file are printed; --add writes them. Away "
        "from any hub, give --key, --certificate and --hub-certificate.\n\n--send makes it also send signed documents. "
        "The hub counts them like any others, so use a hub that is for tests.\n\nExits 0 if each call passed all checks "
        "and each document was accepted, 1 if not, 3 if some documents were accepted, 69 if the hub or the port "
        "cannot be had."
    ),
    "lienthong -c tinh/hub.toml partners simulate vpub",
    "lienthong -c tinh/hub.toml partners simulate vpub --answer refuse:unit-unknown:H55.99",
    "lienthong -c tinh/hub.toml partners simulate vpub --script ba-ngay.txt --calls 20 --json",
    "lienthong -c tinh/hub.toml partners simulate thu --add --unit H55.90 --send 100 --rate 5 --to H55.13",
    "lienthong partners simulate vpub --key k.key --certificate k.crt --hub-certificate hub.crt --port 9443",
    runs="hub.cli.partner.simulate:simulate_partner",
    options=(
        click.argument("code"),
        click.option(
            "--answer",
            "usual",
            default="accept",
            show_default=True,
            metavar=t("ANSWER"),
            help=t("The answer to each call."),
        ),
        click.option("--script", type=EXISTING_FILE, metavar=t("FILE"), help=t("Answers to the first calls.")),
        click.option("--host", default="127.0.0.1", show_default=True, help=t("The address to listen at.")),
        click.option(
            "--port",
            type=WholeNumber(0, 65535),
            help=t("The port to listen at; default that of the partner's file, otherwise a free one."),
        ),
        click.option("--add", is_flag=True, help=t("Add the partner to the hub if it is not known yet.")),
        click.option(
            "--unit", "units", metavar=t("CODE"), multiple=True, help=t("A unit of the partner that is added.")
        ),
        click.option("--send", "number", type=WholeNumber(0), default=0, metavar="N", help=t("Also send N documents.")),
        click.option("--rate", type=float, default=1.0, show_default=True, metavar="N", help=t("Documents a second.")),
        click.option(
            "--from", "sender", metavar=t("CODE"), help=t("The unit that sends; default the first of the partner.")
        ),
        click.option(
            "--to", "recipient", metavar=t("CODE"), help=t("The unit to send to; default one of another partner.")
        ),
        click.option("--yes", is_flag=True, help=t("Also send to a hub that is not on this machine.")),
        click.option("--calls", "most_calls", type=WholeNumber(1), metavar="N", help=t("Stop after N calls.")),
        click.option("--seconds", "most_seconds", type=float, metavar="N", help=t("Stop after N seconds.")),
        click.option("--url", metavar="URL", help=t("Address of the hub's documents service, to send to.")),
        click.option("--key", type=EXISTING_FILE, help=t("Private key (PEM).")),
        click.option("--certificate", type=EXISTING_FILE, help=t("Certificate (PEM).")),
        click.option("--ca", type=EXISTING_FILE, help=t("The hub's CA (PEM).")),
        click.option(
            "--hub-certificate", type=EXISTING_FILE, help=t("The certificates that the hub shows and signs with (PEM).")
        ),
    ),
)


list_trust = command(
    "list",
    t("List the anchors and their CRLs."),
    "lienthong trust list",
    runs="hub.cli.partner.trust:list_trust",
)

add_anchor = command(
    "add",
    t(
        "Trust the anchors in FILE (PEM); --crl is their revocation list.\n\nRun the command again with a "
        "newer CRL to replace the old one. A running hub uses it after `lienthong reload`."
    ),
    "lienthong trust add rootca.crt --crl rootca.crl",
    "lienthong trust add subca.crt --crl-url http://crl.ca.example/subca.crl --ocsp-url http://ocsp.ca.example",
    runs="hub.cli.partner.trust:add_anchor",
    options=(
        click.argument("file", type=EXISTING_FILE),
        click.option("--crl", "crl_file", type=EXISTING_FILE, metavar=t("FILE"), help=t("A PEM CRL.")),
        click.option(
            "--crl-url",
            "crl_urls",
            multiple=True,
            metavar="URL",
            help=t("URL from which the hub fetches the CRL by itself; repeatable."),
        ),
        click.option(
            "--ocsp-url",
            "ocsp_urls",
            multiple=True,
            metavar="URL",
            help=t("URL of the CA's OCSP responder; repeatable."),
        ),
    ),
)

trust = command_group(
    "trust",
    t("Trust anchors (CA certificates) and CRLs."),
    table={"remove": ("hub.cli.partner.commands:remove_anchor", phrase("Trust a CA no longer."))},
    commands=(list_trust, add_anchor),
)
