"""Connects the hubs of other provinces and ministries for the day of `lienthong demo`, as an operator does.

Knows their files. Plays nothing itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hub.security import sample_pki
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.plan.day import Scale, Town
from lienthong_demo.run.neighbours import AGENCIES, Neighbours, list_contact_units
from lienthong_demo.run.stage import Site, Stage
from lienthong_demo.tally import tallyhubs
from lienthong_demo.tally.tally import TalliedResult

#: Partner -> its name, the path of its service, its settings, its secrets.
_HUBS = {
    "lgsp": ("Trục tỉnh khác, LGSP (mẫu)", "", 'system-id = "H37.TN"\n', {"secret": "khoa-bi-mat"}),
    "wso2": (
        "Trục tỉnh khác, WSO2 (mẫu)",
        "/truclienthong/v1.0.0",
        'consumer-key = "ung-dung-thai-nguyen"\n',
        {"consumer-secret": "khoa-ung-dung", "unit-secret": "ma-bi-mat"},
    ),
    "bkav": (
        "Trục tỉnh khác, eDoc (mẫu)",
        "/services/eDoc",
        'organ = "000.00.00.H55"\norgans = "{organs}"\n',
        {"token": "the-lien-thong"},
    ),
}
_FILE = """name = "{name}"
units = ["{agency}"]
calls = ["documents"]
receive = "push"
adapter = "{code}"
url = "http://127.0.0.1:{port}{path}"

[settings]
{settings}
[policy]
transport = "plain"
collect = "1s"
first-retry = "200ms"
max-retry = "2s"
"""


def open_hubs(stage: Stage, site: Site, operator: Operator, town: Town, agencies_csv: Path) -> None:
    """Start the hubs, write their partners' files, and import the agencies behind them through the file *agencies_csv*."""
    partners, units = site.directory / "partners", list_contact_units(town)
    for code, (name, path, settings, secrets) in _HUBS.items():
        agency = AGENCIES[code]
        options = {"receivers": agency}
        if code == "bkav":
            options["organs"] = ",".join(("000.00.00.H55", *units))
        port = stage.open_office(code, code, **options)
        said = settings.format(organs=" ".join(units))
        for secret, text in secrets.items():
            sample_pki.write_secret(site.directory / "secrets" / code / secret, text.encode())
            said += f'{secret}-file = "{secret}"\n'
        written = _FILE.format(name=name, agency=agency, code=code, port=port, path=path, settings=said)
        (partners / f"{code}.toml").write_text(written, "utf-8")
    rows = "".join(f"{agency},{agency} (mẫu),,national\n" for agency in AGENCIES.values())
    agencies_csv.write_text(f"code,name,parent,mark\n{rows}", "utf-8")
    operator.run_command("units", "import", str(agencies_csv))


def open_neighbours(stage: Stage, town: Town, scale: Scale, outbox: Path, narrator: Narrator) -> Neighbours:
    """Return the documents exchanged with them during the day."""
    return Neighbours(stage, town, scale, outbox, narrator)


def tally_partner_files(notebooks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[TalliedResult]:
    """Return the results in their own files."""
    agencies = AGENCIES.values()
    return [
        *tallyhubs.tally_gateway(notebooks["lgsp"], agencies),
        *tallyhubs.tally_gateway(notebooks["wso2"], agencies),
        *tallyhubs.tally_bus(notebooks["bkav"], agencies),
    ]
