"""The 989 made-up units of the sample province.

They are 31 departments, 9 districts and 180 communes with the units below them, and the Party bloc. The names are
plausible and the codes have the shape of standards 5, but both are made up. So each unit is marked `synthetic` and its
name says so. The list is the same each time. It contains the sample units of `lienthong init`.
"""

from collections.abc import Iterable, Iterator

from hub.domain.model import Unit, UnitMark

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

_PARTY = (
    "Văn phòng Tỉnh ủy", "Ban Tổ chức Tỉnh ủy", "Ban Tuyên giáo Tỉnh ủy", "Ban Dân vận Tỉnh ủy", "Ban Nội chính Tỉnh ủy",
    "Ủy ban Kiểm tra Tỉnh ủy", "Trường Chính trị tỉnh", "Đảng ủy Khối các cơ quan tỉnh",
)  # fmt: skip

#: 12 × 15 pairs of syllables, one pair for each commune.
_FIRST = ("Tân", "Bình", "Phú", "Yên", "Hòa", "An", "Minh", "Thanh", "Kim", "Văn", "Bảo", "Quang")
_SECOND = (
    "Lập", "Sơn", "Thịnh", "Long", "Tiến", "Hưng", "Cường", "Lạc", "Khê", "Lâm", "Thái", "Đức", "Trung", "Hải", "Phong",
)  # fmt: skip


def list_sample_units() -> list[Unit]:
    """Return the 989 units, sorted by code as in the registry."""
    made = [
        Unit("H55", "Ủy ban nhân dân tỉnh (mẫu)", aliases=("000.00.00.H55",), mark=UnitMark.SYNTHETIC),
        *_departments(),
        *_districts(),
        *_communes(),
        *_party(),
    ]
    communes = [unit for unit in made if unit.name.startswith(("Ủy ban nhân dân xã", "Ủy ban nhân dân phường"))]
    made += (_below(commune, 1, f"Trạm Y tế {_place(commune)}") for commune in communes)
    made += (_below(commune, 2, f"Trường Trung học cơ sở {_place(commune)}") for commune in communes)
    primary = communes[: _TOTAL - len(made)]
    made += (_below(commune, 3, f"Trường Tiểu học {_place(commune)}") for commune in primary)
    return sorted(made, key=lambda unit: unit.code)


def _departments() -> Iterator[Unit]:
    for number, (name, centres) in enumerate(_DEPARTMENTS, start=1):
        department = _unit("H55", number, name, f"000.00.{number:02}.H55")
        yield department
        offices = _OFFICES if name.startswith(_HAS_OFFICES) else ()
        yield from _numbered(department, (*centres, *offices))


def _districts() -> Iterator[Unit]:
    for number, name in enumerate(_DISTRICTS, start=len(_DEPARTMENTS) + 1):
        district = _unit("H55", number, f"Ủy ban nhân dân {name}", f"000.00.{number:02}.H55")
        yield district
        yield from _numbered(district, (f"{office} {name}" for office in _DISTRICT_OFFICES))


def _communes() -> Iterator[Unit]:
    names = [f"{first} {second}" for second in _SECOND for first in _FIRST]
    for number, name in enumerate(names):
        district, place = divmod(number, _COMMUNES)
        at = len(_DEPARTMENTS) + 1 + district
        kind = "phường" if _DISTRICTS[district].startswith(("thành phố", "thị xã")) and place < _COMMUNES // 2 else "xã"
        code = _FIRST_COMMUNE + place
        yield _unit(f"H55.{at}", code, f"Ủy ban nhân dân {kind} {name}", f"000.{code:02}.{at:02}.H55")


def _party() -> Iterator[Unit]:
    """Yield the Party bloc: A-codes, outside the tree of the province."""
    bloc = Unit("A55", "Tỉnh ủy (mẫu)", aliases=("000.00.00.A55",), mark=UnitMark.SYNTHETIC)
    yield bloc
    yield from _numbered(bloc, (*_PARTY, *(f"Cấp ủy {name}" for name in _DISTRICTS)))


def _numbered(above: Unit, names: Iterable[str]) -> Iterator[Unit]:
    for number, name in enumerate(names, start=1):
        yield _below(above, number, f"{name}, {_called(above)}" if name in _OFFICES else name)


def _below(above: Unit, number: int, name: str) -> Unit:
    return _unit(above.code, number, name)


def _unit(above: str, number: int, name: str, *aliases: str) -> Unit:
    return Unit(f"{above}.{number}", f"{name} (mẫu)", above, aliases=aliases, mark=UnitMark.SYNTHETIC)


def _called(unit: Unit) -> str:
    return unit.name.removesuffix(" (mẫu)")


def _place(commune: Unit) -> str:
    return _called(commune).removeprefix("Ủy ban nhân dân ")
