"""The commands of `hub/cli/setup`: names, help and options. What runs stands in the module each names."""

import tomllib
from pathlib import Path

import click

from hub.cli.partner.commands import WRITING_OPTIONS
from hub.cli.screen import EXISTING_FILE, WholeNumber, command, command_group, t

TRUST_OPTIONS = (
    click.option(
        "--ca",
        type=EXISTING_FILE,
        metavar=t("FILE"),
        help=t("The certificate of the CA that issues the hub's certificate (PEM or DER); trusted from now on."),
    ),
    click.option("--crl", type=EXISTING_FILE, metavar=t("FILE"), help=t("The revocation list of that CA.")),
    click.option(
        "--crl-url",
        multiple=True,
        metavar="URL",
        help=t("URL from which the hub fetches the CRL by itself; repeatable."),
    ),
    click.option("--ocsp-url", multiple=True, metavar="URL", help=t("URL of the CA's OCSP responder; repeatable.")),
)


PRODUCTION_OPTIONS = (
    click.option("--production", is_flag=True, help=t("A hub for production: nothing in it is a sample.")),
    click.option(
        "--answers",
        type=EXISTING_FILE,
        metavar=t("FILE"),
        is_eager=True,
        expose_value=False,
        callback=lambda context, _option, file: _take_answers(context, file),
        help=t("TOML with the long options as keys; what it does not have is asked, on a terminal."),
    ),
    click.option("--province", metavar="CODE", help=t("The code of the province, such as H55.")),
    click.option("--name", metavar=t("TEXT"), help=t("The name of the hub, for display.")),
    click.option(
        "--organization", metavar=t("TEXT"), help=t("The agency that answers for the hub; stands in its certificate.")
    ),
    click.option("--country", metavar="CODE", default="VN", show_default=True, help=t("Its country, two letters.")),
    click.option(
        "--dns",
        multiple=True,
        metavar="NAME",
        help=t("A host name or IP address by which partners call the hub; repeatable, the first in the WSDLs."),
    ),
    click.option(
        "--data", metavar="DIR", help=t("The data directory; default: data, for /etc/lienthong /var/lib/lienthong.")
    ),
    click.option(
        "--database-password-file",
        type=EXISTING_FILE,
        metavar=t("FILE"),
        help=t("PostgreSQL: holds the password, mode 0600."),
    ),
    click.option("--soap-host", metavar="IP", help=t("The address of the SOAP port; default 0.0.0.0.")),
    click.option("--admin-host", metavar="IP", help=t("The address of the admin port; default 127.0.0.1.")),
    click.option(
        "--units", type=EXISTING_FILE, metavar=t("FILE"), help=t("The units, a CSV file as for `units import`.")
    ),
    click.option("--administrator", metavar="NAME", help=t("The first user of the console; a password is made.")),
    click.option(
        "--password-file",
        type=EXISTING_FILE,
        metavar=t("FILE"),
        help=t("That user's password, instead of one that is made."),
    ),
    *TRUST_OPTIONS,
)


def _take_answers(context: click.Context, file: Path | None) -> None:
    """Make the answers of *file* the defaults of the options."""
    if file is None:
        return
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise click.UsageError(t("{file}: is not TOML: {error}", file=file, error=error)) from None
    known = {
        option.name: option for option in context.command.params if option.name not in {"answers", "production", None}
    }
    values: dict[str, object] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in known or not isinstance(known[name], click.Option):
            raise click.UsageError(t("{file}: there is no option --{key}", file=file, key=key))
        values[name] = [value] if known[name].multiple and isinstance(value, str) else value
    context.default_map = {**(context.default_map or {}), **values}


check_hub = command(
    "check",
    t(
        "Check everything and name every mistake at once: configuration, keys, certificates, CRLs, "
        "contracts, units, ports, database; sign, verify and route a sample packet through each "
        "receiving partner.\n\nNothing is changed. `twistd` does not start while this command reports a "
        "mistake, but for a form whose legal basis has ended. A warning does not stop it."
    ),
    "lienthong check",
    "lienthong -c tinh/hub.toml check --connect",
    runs="hub.cli.setup.check:check_hub",
    options=(
        click.option(
            "--connect",
            is_flag=True,
            help=t(
                "Also try the TLS handshake with each partner that the hub pushes to, its secrets by a question that changes "
                "nothing where its adapter has one, the sign-in at RabbitMQ ([feed]), and the discovery document and keys of each "
                "OpenID provider ([console.providers]).",
            ),
        ),
    ),
)


doctor = command(
    "doctor",
    t(
        "Examine everything that breaks hubs: whether another distribution has overwritten the program, libraries, "
        "configuration, files and their owner, clock, disk, memory, certificates, database, the running hub and its "
        "ports, the service.\n\nOne line a check, and what to do where something is wrong. Nothing is changed, apart "
        "from a small file that is written into the data directory and taken away again.\n\n"
        "Exits 0 if nothing failed (warnings are no failure), 1 if something did."
    ),
    "lienthong doctor",
    "sudo -u lienthong lienthong -c /etc/lienthong/hub.toml doctor",
    "lienthong doctor --json | jq 'select(.verdict != \"ok\")'",
    runs="hub.cli.setup.doctor:doctor",
)


_PORT = WholeNumber(0, 65535)

init = command(
    "init",
    t(
        "Write into DIR everything that a hub needs: hub.toml, a sample PKI, three sample partners, "
        "sample units, the database.\n\nDIR must be empty or absent. The hub listens on this machine only "
        "(127.0.0.1).\n\n--production writes a hub for a province instead, with nothing that is made up: it asks for "
        "all that it needs and was not told, makes a key and the request for its certificate, and says what comes next."
    ),
    "lienthong init tinh",
    "lienthong init tinh --soap-port 0 --admin-port 0",
    "lienthong init tinh --key-type ec-p256",
    "lienthong init tinh --database postgresql://lienthong@/lienthong",
    "twistd -n lienthong -c tinh/hub.toml",
    "lienthong init /etc/lienthong --production",
    "lienthong init /etc/lienthong --production --answers answers.toml",
    runs="hub.cli.setup.init:init",
    options=(
        click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path)),
        click.option(
            "--soap-port",
            type=_PORT,
            default=8443,
            show_default=True,
            help=t("The SOAP port; 0 picks a free one."),
        ),
        click.option(
            "--admin-port",
            type=_PORT,
            default=8444,
            show_default=True,
            help=t("The admin port; 0 picks a free one."),
        ),
        click.option(
            "--database",
            metavar="URL",
            help=t(
                "An empty database for the journal; default: SQLite's hub.db in the data directory. PostgreSQL: "
                "postgresql://USER@HOST/DATABASE.",
            ),
        ),
        click.option(
            "--key-type",
            type=click.Choice(["rsa", "ec-p256"]),
            default="rsa",
            show_default=True,
            help=t("The type of the hub's key; ec-p256 signs faster."),
        ),
        *PRODUCTION_OPTIONS,
    ),
)


rehearse_key = command(
    "rehearse",
    t(
        "Say what the hub's new certificate FILE (PEM, with the CAs above it behind it) would break: by itself, and for "
        "each partner by what its handshakes and signatures showed lately. Changes nothing; the key is not needed.\n\n"
        "Exits 0 if nothing speaks against it, 3 if it is not sure for some partner, 1 if calls would fail."
    ),
    "lienthong keys rehearse hub-2027.crt",
    "lienthong keys rehearse hub-2027.crt --use tls --json | jq 'select(.verdict == \"breaks\")'",
    runs="hub.cli.setup.keys:rehearse_key",
    options=(
        click.argument("file", type=EXISTING_FILE, metavar=t("FILE")),
        click.option(
            "--use",
            "uses",
            type=click.Choice(["tls", "sign"]),
            multiple=True,
            help=t("What it will be used for; without it, for both."),
        ),
        click.option(
            "--days",
            type=click.IntRange(1, 400),
            default=30,
            show_default=True,
            help=t("How far back to look at what partners showed."),
        ),
    ),
)

rotate_key = command(
    "rotate",
    t(
        "Make the next step of changing the hub's certificate. With CERTIFICATE (PEM, with the CAs above it) and KEY it "
        "announces them: they are put in place and named to partners, and the old ones stay in use. Without them, after the "
        "overlap, it switches to the announced ones, and after another overlap it retires the old certificate.\n\n"
        "A step that is not due changes nothing and exits 3. What a rehearsal says would break is not announced (1)."
    ),
    "lienthong keys rotate hub-2027.crt hub-2027.key --reload",
    "lienthong keys rotate --reload",
    runs="hub.cli.setup.keys:rotate_key",
    options=(
        click.argument("certificate", type=EXISTING_FILE, metavar=t("CERTIFICATE"), required=False),
        click.argument("key", type=EXISTING_FILE, metavar=t("KEY"), required=False),
        click.option(
            "--use", type=click.Choice(["tls", "sign"]), help=t("Which certificate, where TLS has one of its own.")
        ),
        click.option(
            "--overlap",
            type=click.IntRange(0, 400),
            default=14,
            show_default=True,
            help=t("Days from this step to the next one."),
        ),
        click.option("--now", "at_once", is_flag=True, help=t("Make the step although its day has not come.")),
        click.option("--despite", is_flag=True, help=t("Announce a certificate although it would break something.")),
        *WRITING_OPTIONS,
    ),
)

keys = command_group("keys", t("The hub's own keys and certificates."), commands=(rehearse_key, rotate_key))


enroll = command(
    "enroll",
    t(
        "Take in the first certificate of the hub, which the CA issued for pki/hub.csr, and with --ca the CA's own.\n\n"
        "FILE is PEM, with the CAs between it and the anchor if there are any, or DER. A certificate that the hub could "
        "not work with is refused, with every reason. Nothing is written then."
    ),
    "lienthong -c /etc/lienthong/hub.toml enroll hub.crt",
    "lienthong -c /etc/lienthong/hub.toml enroll hub.crt --ca rootca.crt --crl-url http://crl.ca.example/root.crl",
    runs="hub.cli.setup.production:enroll",
    options=(click.argument("file", type=EXISTING_FILE), *TRUST_OPTIONS),
)


reload = command(
    "reload",
    t(
        "Make the running hub reload configuration, partners, certificates, CRLs and units, without "
        "dropping connections.\n\nA configuration with mistakes is refused, and the hub keeps the old "
        "one. Exits 69 if no hub runs, 78 if it was refused."
    ),
    "lienthong -c tinh/hub.toml reload",
    runs="hub.cli.setup.reload:reload",
    options=(
        click.option(
            "--timeout",
            default=30.0,
            show_default=True,
            help=t("Seconds to wait for the verdict."),
        ),
    ),
)
