"""Messages of a service that the configuration defines, with as many rules as one may have: items, values, mistakes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hub import config
from hub.config.service_files import MOST_PATHS
from hub.domain.errors import Rejected
from hub.intake import admission
from hub.intake.records_endpoint import RecordCall, RecordsEndpoint
from hub.services import Service
from hub.services.defined import load_defined_contract
from hub.soap.wsdl import Contract
from tests import homes
from tests.costs import filling, stage
from tests.pki import NOW
from tests.signatures import Layout

DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "items": 1998,
    "same": 1000,  # items with one key
    "values": 40,  # of each item
    "wrong": 40,  # of each item
    "space": None,  # in a text
}
FILLER = "space"
FORMS = {"place": ("item", "message")}
WORST = [
    ({"items": 1998}, {"place": "item"}),
    ({"items": 1998, "values": 1}, {"place": "item"}),
    ({"items": 130, "values": 40}, {"place": "item"}),
    ({"items": 130, "wrong": 40}, {"place": "item"}),
    ({"same": 1000}, {"place": "item"}),
]
_NUMBERS = 40
_XSD = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:c" elementFormDefault="qualified">
<xs:element name="S"><xs:complexType><xs:sequence><xs:element name="O" type="xs:token"/>
<xs:element name="I" minOccurs="0" maxOccurs="unbounded"><xs:complexType><xs:sequence>
<xs:element name="K" type="xs:token"/>{}</xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType>
</xs:element></xs:schema>"""
_NUMBER = '<xs:element name="N{}" type="xs:decimal" minOccurs="0"/>'
_NAME = 'name = { vi = "x", en = "x" }\n'
_HEAD = f'{_NAME}[milestones]\nMILESTONES\n[[message]]\nelement = "S"\nkind = "s"\n{_NAME}sender = "O"\nitem = "I"\nkey = ["K"]\n'
_FACT = '[[message.fact]]\nmilestone = "n{0}"\namount = "N{0}"\n'
_MORE = '[[message.fact]]\nmilestone = "k"\nattributes = {{ {} }}\n'


@cache
def _service() -> tuple[Service, Contract]:
    """Return a service with as many paths as one kind of message may have."""
    left = MOST_PATHS - _NUMBERS - 1
    facts = "".join(_FACT.format(number) for number in range(_NUMBERS - left // 20 - 1))
    facts += "".join(
        _MORE.format(", ".join(f'a{place} = "N{(20 * number + place) % _NUMBERS}"' for place in range(20))).replace(
            '"k"', f'"k{number}"'
        )
        for number in range(left // 20)
    )
    names = [
        *(f"n{number}" for number in range(_NUMBERS - left // 20 - 1)),
        *(f"k{number}" for number in range(left // 20)),
    ]
    milestones = "\n".join(f'{name} = {{ vi = "x", en = "x" }}' for name in names)
    with TemporaryDirectory() as place:
        home = homes.begin(Path(place) / "tinh")
        folder = home / "services/c"
        folder.mkdir(parents=True)
        (folder / "c.xsd").write_text(_XSD.format("".join(map(_NUMBER.format, range(_NUMBERS)))))
        (folder / "service.toml").write_text(_HEAD.replace("MILESTONES", milestones) + facts)
        made = config.read_config(home / "hub.toml")
    return made.every_service["c"], load_defined_contract(made.services["c"])


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    values = "".join(f"<N{number}>1</N{number}>" for number in range(max(have["values"], have["wrong"])))
    values = values.replace(">1<", ">-1.5<") if have["wrong"] else values
    items = "".join(f"<I><K>{number}</K>{values}</I>" for number in range(have["items"]))
    items += f"<I><K>x</K>{values}</I>" * have["same"]
    items += f"<I><K>{' ' * have['space']}y</K>{filled if form['place'] == 'item' else ''}</I>"
    return f'<S xmlns="urn:c"><O>H55.13</O>{items}{filled if form["place"] == "message" else ""}</S>'.encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return stage.sign(Layout(content=content.decode()).template(stage.ME.token).encode())


def read(content: bytes) -> None:
    service, contract = _service()
    desk = RecordsEndpoint(contract, service, cast("Any", None))
    given = stage.open_call(content, described=contract, read=desk.read).call
    assert isinstance(given, RecordCall)
    entry = admission.judge_record(service, given.content, given.message_id, "me", stage.province(), NOW, "id")
    if entry.problems:
        raise Rejected(*entry.problems)
