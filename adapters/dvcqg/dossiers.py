"""Translates a message of the service `dossiers` into the portal's fields.

Knows both vocabularies, not sessions or answers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
from lxml import etree

from hub.formats import safe_xml, xsd_types

NAMESPACE = "urn:lienthong:dossiers:1"
#: The operations of `/soap/dossiers` that the portal has a service for, and the name of that service.
SERVICES: Mapping[str, str] = {"SyncDossiers": "DongBoHoSoMC", "UpdateDossierProgress": "CapNhatTienDoHoSoMC"}
#: Elements that are lists at the portal. Each occurrence becomes one entry of the list.
LISTS = frozenset(
    {
        "TaiLieuNop",
        "DanhSachLePhi",
        "DanhSachTepDinhKemKhac",
        "DanhSachHoSoBoSung",
        "DanhSachGiayToBoSung",
        "DanhSachLePhiBoSung",
        "DanhSachGiayToKetQua",
    }
)

#: Elements that are the hub's own (xsd/lienthong/1/dossiers.xsd). The portal does not know them.
OURS = frozenset({"NgayThanhToan", "NgayNop", "HanTiepNhan", "MucDoTrucTuyen", "PhiDiaGioi", "NgayThuXinLoi"})

#: One entry of `data`: texts, and lists of entries.
Item = dict[str, object]
#: Returns the portal's word for the value of a field. Parameters: the field and the value.
Word = Callable[[str, str], str]


@attrs.frozen(kw_only=True)
class PortalCall:
    """The portal's service to call, the reporting unit, and the entries of `data` in order."""

    service: str
    organ: str
    items: tuple[Item, ...]


def read_dossier_message(content: bytes, word: Word) -> PortalCall:
    """Read a message and translate its values. Raises Rejected, or ValueError if it is not a message of `dossiers`."""
    root = safe_xml.parse_safe_xml(content)
    name = etree.QName(root)
    if name.namespace != NAMESPACE or name.localname not in SERVICES:
        raise ValueError(f"no message of dossiers: {root.tag[:200]}")
    organ = next((xsd_types.read_xs_token(child) for child in root if safe_xml.read_local_name(child) == "OrganId"), "")
    items = tuple(_read_item(child, word) for child in root if len(child))
    return PortalCall(service=SERVICES[name.localname], organ=organ, items=items)


def read_dossier_number(item: Item) -> str:
    """Return the number of the dossier that *item* is about."""
    return str(item.get("MaHoSo", ""))


def cut_batches(items: Sequence[Item], most: int, *, once: bool) -> Iterator[tuple[Item, ...]]:
    """Split *items* into batches of at most *most*, in order. With *once* no batch names a dossier twice."""
    batch: list[Item] = []
    for item in items:
        if len(batch) == most or (once and read_dossier_number(item) in map(read_dossier_number, batch)):
            yield tuple(batch)
            batch = []
        batch.append(item)
    if batch:
        yield tuple(batch)


def _read_item(element: etree._Element, word: Word) -> Item:
    item: Item = {}
    for child in element:
        name = safe_xml.read_local_name(child)
        if name in OURS:
            continue
        value = _read_item(child, word) if name in LISTS else word(name, xsd_types.read_leaf_text(child).strip())
        if name not in LISTS:
            item[name] = value
            continue
        entries = item.setdefault(name, [])
        assert isinstance(entries, list)
        entries.append(value)
    return item


def read_word_settings(written: Mapping[str, str]) -> Word:
    """Return the translation that settings define, `1=0 2=1` for each field. A value without an entry stays unchanged."""
    tables = {
        field: dict(pair.split("=", 1) for pair in re.split(r"[ ,]+", text) if pair) for field, text in written.items()
    }
    return lambda field, value: tables.get(field, {}).get(value, value)
