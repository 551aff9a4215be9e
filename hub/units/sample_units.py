"""The 989 made-up units of the sample province, with their history: what was merged in 2025, and what it is today.

They are 31 departments, 9 districts and 180 communes with the units below them, and the Party bloc, as they were until
2025. On 1 March 2025 departments were merged. On 1 July 2025 the districts were abolished and communes merged: the
commune at the seat of each district took its code, all communes stand below the province, and what the districts had
went to communes and departments. The names are plausible and the codes have the shape of standards 5, but both are made
up. So each unit is marked `synthetic` and its name says so. The list is the same each time. It contains the codes of
the sample units of `lienthong init`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import attrs

from hub.domain.model import Unit, UnitChange, UnitKind, UnitLevel, UnitMark

#: The day on which the departments were merged, and that on which the districts were abolished.
DEPARTMENTS_MERGED, DISTRICTS_ABOLISHED = date(2025, 3, 1), date(2025, 7, 1)

_TOTAL = 989

#: The departments (sở, ban, ngành) in the order of their codes, each with the offices and centres below it.
_DEPARTMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Văn phòng Ủy ban nhân dân tỉnh", ("Trung tâm Phục vụ hành chính công", "Trung tâm Thông tin tỉnh", "Ban Tiếp công dân tỉnh")),
    ("Văn phòng Đoàn đại biểu Quốc hội và Hội đồng nhân dân tỉnh", ()),
    ("Sở Kế hoạch và Đầu tư", ("Phòng Đăng ký kinh doanh", "Trung tâm Tư vấn và Xúc tiến đầu tư")),
    ("Sở Tài chính", ("Phòng Quản lý ngân sách", "Phòng Quản lý giá và công sản", "Trung tâm Tư vấn tài chính")),
    ("Sở Công Thương", ("Phòng Quản lý thương mại", "Trung tâm Khuyến công và Tư vấn công nghiệp")),
    ("Sở Nông nghiệp và Phát triển nông thôn", (
        "Chi cục Kiểm lâm", "Chi cục Thủy lợi", "Chi cục Chăn nuôi và Thú y", "Chi cục Trồng trọt và Bảo vệ thực vật",
        "Chi cục Phát triển nông thôn", "Chi cục Quản lý chất lượng nông lâm sản", "Trung tâm Khuyến nông",
        "Trung tâm Nước sạch và Vệ sinh môi trường nông thôn",
    )),
    ("Sở Giao thông vận tải", ("Phòng Quản lý vận tải", "Trung tâm Đăng kiểm xe cơ giới", "Ban Quản lý bến xe")),
    ("Sở Xây dựng", ("Phòng Quản lý hoạt động xây dựng", "Trung tâm Kiểm định chất lượng xây dựng")),
    ("Sở Tài nguyên và Môi trường", (
        "Chi cục Bảo vệ môi trường", "Văn phòng Đăng ký đất đai", "Trung tâm Phát triển quỹ đất",
        "Trung tâm Quan trắc tài nguyên và môi trường",
    )),
    ("Sở Khoa học và Công nghệ", ("Chi cục Tiêu chuẩn Đo lường Chất lượng", "Trung tâm Phát triển khoa học và công nghệ")),
    ("Sở Tư pháp", (
        "Phòng Hành chính tư pháp", "Phòng Công chứng số 1", "Phòng Công chứng số 2",
        "Trung tâm Trợ giúp pháp lý nhà nước", "Trung tâm Dịch vụ đấu giá tài sản",
    )),
    ("Sở Nội vụ", ("Ban Thi đua - Khen thưởng", "Ban Tôn giáo", "Chi cục Văn thư - Lưu trữ")),
    ("Sở Thông tin và Truyền thông", ("Trung tâm Công nghệ thông tin", "Phòng Chuyển đổi số", "Phòng Bưu chính - Viễn thông")),
    ("Sở Y tế", (
        "Bệnh viện Đa khoa tỉnh", "Bệnh viện Y học cổ truyền", "Bệnh viện Phổi", "Bệnh viện Mắt", "Bệnh viện Tâm thần",
        "Bệnh viện Phục hồi chức năng", "Trung tâm Kiểm soát bệnh tật", "Trung tâm Kiểm nghiệm", "Trung tâm Pháp y",
        "Trung tâm Giám định y khoa", "Chi cục An toàn vệ sinh thực phẩm", "Chi cục Dân số - Kế hoạch hóa gia đình",
    )),
    ("Sở Giáo dục và Đào tạo", (
        "Trung tâm Giáo dục thường xuyên tỉnh", *(f"Trường Trung học phổ thông số {number}" for number in range(1, 31)),
    )),
    ("Sở Lao động - Thương binh và Xã hội", (
        "Trung tâm Dịch vụ việc làm", "Trung tâm Bảo trợ xã hội", "Cơ sở Cai nghiện ma túy", "Trung tâm Điều dưỡng người có công",
    )),
    ("Sở Văn hóa, Thể thao và Du lịch", (
        "Bảo tàng tỉnh", "Thư viện tỉnh", "Trung tâm Văn hóa nghệ thuật", "Trung tâm Huấn luyện thể thao",
        "Trung tâm Thông tin xúc tiến du lịch",
    )),
    ("Sở Ngoại vụ", ("Trung tâm Dịch vụ đối ngoại",)),
    ("Thanh tra tỉnh", ()),
    ("Ban Dân tộc", ()),
    ("Ban Quản lý các khu công nghiệp", ("Trung tâm Dịch vụ khu công nghiệp",)),
    ("Ban Quản lý dự án đầu tư xây dựng công trình dân dụng và công nghiệp", ()),
    ("Ban Quản lý dự án đầu tư xây dựng công trình giao thông", ()),
    ("Ban Quản lý dự án đầu tư xây dựng công trình nông nghiệp", ()),
    ("Đài Phát thanh - Truyền hình tỉnh", ()),
    ("Quỹ Đầu tư phát triển tỉnh", ()),
    ("Công an tỉnh", ()),
    ("Bộ Chỉ huy quân sự tỉnh", ()),
    ("Cục Thuế tỉnh", ()),
    ("Kho bạc Nhà nước tỉnh", ()),
    ("Bảo hiểm xã hội tỉnh", ()),
)  # fmt: skip

#: The additional offices of each department whose name begins with `_HAS_OFFICES`.
_OFFICES = ("Văn phòng", "Thanh tra", "Phòng Tổ chức - Hành chính")
_HAS_OFFICES = "Sở "

_DISTRICTS = (
    "thành phố Sông Xanh", "thành phố Gò Vàng", "thị xã Phổ Bình", "huyện Định Sơn", "huyện Đại Lộc", "huyện Đồng Mỹ",
    "huyện Phú An", "huyện Phú Hà", "huyện Võ Lâm",
)  # fmt: skip

#: The offices of each district, numbered 1 to 17. Its communes begin at 21.
_DISTRICT_OFFICES = (
    "Văn phòng Hội đồng nhân dân và Ủy ban nhân dân", "Phòng Nội vụ", "Phòng Tư pháp", "Phòng Tài nguyên và Môi trường",
    "Phòng Lao động - Thương binh và Xã hội", "Phòng Văn hóa và Thông tin", "Phòng Giáo dục và Đào tạo", "Phòng Y tế", "Thanh tra",
    "Phòng Tài chính - Kế hoạch", "Phòng Nông nghiệp và Phát triển nông thôn", "Phòng Kinh tế và Hạ tầng",
    "Trung tâm Y tế", "Trung tâm Văn hóa - Thể thao và Truyền thông", "Trung tâm Giáo dục nghề nghiệp", "Ban Quản lý dự án",
    "Trung tâm Dịch vụ nông nghiệp",
)  # fmt: skip
_FIRST_COMMUNE, _COMMUNES = 21, 20

#: The departments that ended on `DEPARTMENTS_MERGED`, each with the one that took its work, by their numbers.
_MERGED_DEPARTMENTS: Mapping[int, int] = {3: 4, 7: 8, 9: 6, 10: 13, 16: 12, 18: 1}
#: The new names of departments from that day on, by their numbers.
_RENAMED_DEPARTMENTS: Mapping[int, str] = {
    6: "Sở Nông nghiệp và Môi trường", 13: "Sở Khoa học và Công nghệ", 20: "Sở Dân tộc và Tôn giáo",
}  # fmt: skip
#: The offices of a commune at the seat of a former district, by their numbers: the new names, with the place.
_COMMUNE_OFFICES: Mapping[int, str] = {
    1: "Văn phòng Hội đồng nhân dân và Ủy ban nhân dân", 2: "Phòng Văn hóa - Xã hội", 10: "Phòng Kinh tế",
    14: "Trung tâm Văn hóa, Thông tin và Thể thao",
}  # fmt: skip
#: The offices of a district that went to the province, by their numbers: the unit above them, and the new names.
_REGIONAL_OFFICES: Mapping[int, tuple[str, str]] = {
    13: ("H55.14", "Trung tâm Y tế khu vực"),
    15: ("H55.15", "Trung tâm Giáo dục nghề nghiệp khu vực"),
    16: ("H55", "Ban Quản lý dự án đầu tư xây dựng khu vực"),
    17: ("H55.6", "Trung tâm Dịch vụ nông nghiệp khu vực"),
}
#: The offices of a district that ended, by their numbers: the office of the commune that took the work.
_ENDED_OFFICES: Mapping[int, int] = {3: 1, 4: 10, 5: 2, 6: 2, 7: 2, 8: 2, 9: 1, 11: 10, 12: 10}
#: The last communes of each district were merged into the one before them.
_MERGED_COMMUNES = 2

_PARTY = (
    "Văn phòng Tỉnh ủy", "Ban Tổ chức Tỉnh ủy", "Ban Tuyên giáo Tỉnh ủy", "Ban Dân vận Tỉnh ủy", "Ban Nội chính Tỉnh ủy",
    "Ủy ban Kiểm tra Tỉnh ủy", "Trường Chính trị tỉnh", "Đảng ủy Khối các cơ quan tỉnh",
)  # fmt: skip

#: 12 × 15 pairs of syllables, one pair for each commune.
_FIRST = ("Tân", "Bình", "Phú", "Yên", "Hòa", "An", "Minh", "Thanh", "Kim", "Văn", "Bảo", "Quang")
_SECOND = (
    "Lập", "Sơn", "Thịnh", "Long", "Tiến", "Hưng", "Cường", "Lạc", "Khê", "Lâm", "Thái", "Đức", "Trung", "Hải", "Phong",
)  # fmt: skip


#: The kind of a unit by the beginning of its name; the first that fits counts. The names are those of this file.
_KINDS: tuple[tuple[str, UnitKind], ...] = (
    ("Ủy ban nhân dân", UnitKind.COMMITTEE),
    ("Văn phòng Đoàn đại biểu", UnitKind.COUNCIL),
    ("Văn phòng Đăng ký", UnitKind.CENTRE),
    ("Văn phòng", UnitKind.OFFICE),
    ("Sở", UnitKind.DEPARTMENT),
    ("Thanh tra", UnitKind.INSPECTORATE),
    ("Ban", UnitKind.BOARD),
    ("Phòng", UnitKind.DIVISION),
    ("Chi cục", UnitKind.DIVISION),
    ("Trường", UnitKind.SCHOOL),
    ("Trung tâm Giáo dục", UnitKind.SCHOOL),
    ("Trung tâm Y tế", UnitKind.HEALTH),
    ("Bệnh viện", UnitKind.HEALTH),
    ("Trạm Y tế", UnitKind.HEALTH),
    ("Công an", UnitKind.ARMED),
    ("Bộ Chỉ huy", UnitKind.ARMED),
    ("Cục Thuế", UnitKind.SECTOR),
    ("Kho bạc", UnitKind.SECTOR),
    ("Bảo hiểm", UnitKind.SECTOR),
    ("Quỹ", UnitKind.OTHER),
    ("Đài", UnitKind.OTHER),
    ("", UnitKind.CENTRE),
)


def list_sample_units() -> list[Unit]:
    """Return the 989 units with their history, sorted by code as in the registry."""
    province = _make_unit(None, "H55", "Ủy ban nhân dân tỉnh", UnitLevel.PROVINCE, "000.00.00.H55")
    made = [province, *_list_departments(), *_list_districts(), *_list_communes(), *_list_party_units()]
    communes = [unit for unit in made if unit.name.startswith(("Ủy ban nhân dân xã", "Ủy ban nhân dân phường"))]
    made += (_make_unit_below(commune, 1, f"Trạm Y tế {_name_place(commune)}") for commune in communes)
    made += (_make_unit_below(commune, 2, f"Trường Trung học cơ sở {_name_place(commune)}") for commune in communes)
    primary = communes[: _TOTAL - len(made)]
    made += (_make_unit_below(commune, 3, f"Trường Tiểu học {_name_place(commune)}") for commune in primary)
    return sorted(made, key=lambda unit: unit.code)


def _list_departments() -> Iterator[Unit]:
    for number, (name, centres) in enumerate(_DEPARTMENTS, start=1):
        department = _make_unit("H55", f"H55.{number}", name, UnitLevel.PROVINCE, f"000.00.{number:02}.H55")
        heir = _MERGED_DEPARTMENTS.get(number)
        below = list(_number_units(department, (*centres, *(_OFFICES if name.startswith(_HAS_OFFICES) else ()))))
        if heir is None:
            renamed = _RENAMED_DEPARTMENTS.get(number)
            yield _change_unit(department, DEPARTMENTS_MERGED, name=renamed) if renamed else department
            yield from below
            continue
        yield _end_unit(department, DEPARTMENTS_MERGED, f"H55.{heir}")
        for unit in below[: len(centres)]:
            yield _change_unit(unit, DEPARTMENTS_MERGED, parent=f"H55.{heir}")
        yield from (_end_unit(unit, DEPARTMENTS_MERGED, f"H55.{heir}") for unit in below[len(centres) :])


def _list_districts() -> Iterator[Unit]:
    for number, name in enumerate(_DISTRICTS, start=len(_DEPARTMENTS) + 1):
        code = f"H55.{number}"
        district = _make_unit("H55", code, f"Ủy ban nhân dân {name}", UnitLevel.DISTRICT, f"000.00.{number:02}.H55")
        commune = _name_seat(name)
        named = f"Ủy ban nhân dân {commune}"
        yield _change_unit(district, DISTRICTS_ABOLISHED, name=named, level=UnitLevel.COMMUNE)
        region = commune.partition(" ")[2]
        for place, office in enumerate(_DISTRICT_OFFICES, start=1):
            unit = _make_unit_below(district, place, f"{office} {name}")
            if place in _COMMUNE_OFFICES:
                named = f"{_COMMUNE_OFFICES[place]} {commune}"
                yield _change_unit(unit, DISTRICTS_ABOLISHED, name=named, level=UnitLevel.COMMUNE)
            elif place in _REGIONAL_OFFICES:
                above, called = _REGIONAL_OFFICES[place]
                moved = {"name": f"{called} {region}", "parent": above, "level": UnitLevel.PROVINCE}
                yield _change_unit(unit, DISTRICTS_ABOLISHED, **moved)
            else:
                yield _end_unit(unit, DISTRICTS_ABOLISHED, f"{code}.{_ENDED_OFFICES[place]}")


def _name_seat(district: str) -> str:
    """Return the kind and name of the commune that took the place of a district."""
    for beginning, kind in (("thành phố ", "phường"), ("thị xã ", "phường"), ("huyện ", "xã")):
        if district.startswith(beginning):
            return f"{kind} {district.removeprefix(beginning)}"
    raise AssertionError(district)


def _list_communes() -> Iterator[Unit]:
    names = [f"{first} {second}" for second in _SECOND for first in _FIRST]
    for number, name in enumerate(names):
        district, place = divmod(number, _COMMUNES)
        at = len(_DEPARTMENTS) + 1 + district
        kind = "phường" if _DISTRICTS[district].startswith(("thành phố", "thị xã")) and place < _COMMUNES // 2 else "xã"
        code = _FIRST_COMMUNE + place
        called, above = f"Ủy ban nhân dân {kind} {name}", f"H55.{at}"
        commune = _make_unit(above, f"{above}.{code}", called, UnitLevel.COMMUNE, f"000.{code:02}.{at:02}.H55")
        last = _FIRST_COMMUNE + _COMMUNES - _MERGED_COMMUNES
        if code < last:
            yield _change_unit(commune, DISTRICTS_ABOLISHED, parent="H55")
        else:
            yield _end_unit(commune, DISTRICTS_ABOLISHED, f"{above}.{last - 1}")


def _list_party_units() -> Iterator[Unit]:
    """Yield the Party bloc: A-codes, outside the tree of the province."""
    bloc = _make_unit(None, "A55", "Tỉnh ủy", UnitLevel.PROVINCE, "000.00.00.A55")
    party = [bloc, *_number_units(bloc, (*_PARTY, *(f"Cấp ủy {name}" for name in _DISTRICTS)))]
    for unit in (attrs.evolve(unit, kind=UnitKind.PARTY) for unit in party):
        name = _call_unit(unit)
        if name.startswith("Cấp ủy "):
            district = attrs.evolve(unit, level=UnitLevel.DISTRICT)
            named = f"Đảng ủy {_name_seat(name.removeprefix('Cấp ủy '))}"
            yield _change_unit(district, DISTRICTS_ABOLISHED, name=named, level=UnitLevel.COMMUNE)
        elif name == "Ban Tuyên giáo Tỉnh ủy":
            yield _change_unit(unit, DEPARTMENTS_MERGED, name="Ban Tuyên giáo và Dân vận Tỉnh ủy")
        elif name == "Ban Dân vận Tỉnh ủy":
            yield _end_unit(unit, DEPARTMENTS_MERGED, f"A55.{_PARTY.index('Ban Tuyên giáo Tỉnh ủy') + 1}")
        else:
            yield unit


def _number_units(above: Unit, names: Iterable[str]) -> Iterator[Unit]:
    for number, name in enumerate(names, start=1):
        yield _make_unit_below(above, number, f"{name}, {_call_unit(above)}" if name in _OFFICES else name)


def _make_unit_below(above: Unit, number: int, name: str) -> Unit:
    """Return the unit *number* below *above*. If that one was merged, the unit stands below the one that took its work."""
    unit = _make_unit(above.code, f"{above.code}.{number}", name, above.level)
    if above.until == DISTRICTS_ABOLISHED:
        return _change_unit(unit, DISTRICTS_ABOLISHED, parent=above.successors[0])
    return unit


def _make_unit(above: str | None, code: str, name: str, level: str, *aliases: str) -> Unit:
    kind = next(kind for beginning, kind in _KINDS if name.startswith(beginning))
    said = f"{name} (mẫu)"
    return Unit(code, said, above, aliases=aliases, mark=UnitMark.SYNTHETIC, level=level, kind=kind)


def _change_unit(unit: Unit, since: date, **said: str) -> Unit:
    """Return *unit* with a version from the day *since* on, with the values of *said*."""
    if "name" in said:
        said["name"] = f"{said['name']} (mẫu)"
        if unit.kind != UnitKind.PARTY:
            said["kind"] = next(kind for beginning, kind in _KINDS if said["name"].startswith(beginning))
    before = {"name": unit.name, "parent": unit.parent, "level": unit.level, "kind": unit.kind}
    return attrs.evolve(unit, changes=(UnitChange(since, **(before | said)),))  # type: ignore[arg-type]


def _end_unit(unit: Unit, until: date, successor: str) -> Unit:
    return attrs.evolve(unit, until=until, successors=(successor,))


def _call_unit(unit: Unit) -> str:
    return unit.name.removesuffix(" (mẫu)")


def _name_place(commune: Unit) -> str:
    return _call_unit(commune).removeprefix("Ủy ban nhân dân ")
