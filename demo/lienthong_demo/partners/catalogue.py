"""The lists that the sample portal publishes: procedures, fields of work, agencies.

Knows the names of the columns. The contents are made up; only the codes have real shapes.
"""

from typing import Any

#: Code, name, field of work, name of that field. The codes have the shapes in use: national ones, and those of a
#: province.
PROCEDURES = (
    ("1.005129", "Đăng ký thành lập hộ kinh doanh", "DKKD", "Đăng ký kinh doanh"),
    ("2.000815", "Chứng thực bản sao từ bản chính", "CT", "Chứng thực"),
    ("2.000815.000.00.00.H55", "Chứng thực bản sao từ bản chính tại tỉnh", "CT", "Chứng thực"),
    ("2.000884", "Chứng thực chữ ký", "CT", "Chứng thực"),
    ("2.000884.000.00.00.H55", "Chứng thực chữ ký tại tỉnh", "CT", "Chứng thực"),
    ("1.004227", "Đăng ký biến động quyền sử dụng đất", "DD", "Đất đai"),
)
ORGANS = (("000.00.00.H55", "Ủy ban nhân dân tỉnh (dữ liệu mẫu)"), ("H55.13", "Sở mẫu 13"), ("H55.14", "Sở mẫu 14"))

#: The number of procedures of a province in 2018 (standards 7). Those beyond `PROCEDURES` have numbers and names only.
MOST_PROCEDURES = 1700

Rows = list[dict[str, Any]]


def list_procedures() -> list[tuple[str, str, str, str]]:
    """Return as many procedures as a province has, with the columns of `PROCEDURES`."""
    fields = [row[2:] for row in PROCEDURES]
    more = (
        (f"1.{800000 + number}", f"Thủ tục mẫu số {number}", *fields[number % len(fields)])
        for number in range(1, MOST_PROCEDURES - len(PROCEDURES) + 1)
    )
    return [*PROCEDURES, *more]


def write_category_lists() -> dict[str, Rows]:
    """Return every list, by the service that returns it."""
    fields = {field: name for _, _, field, name in PROCEDURES}
    return {
        "LayDanhSachTTHC": [{"MATTHC": number, "TENTTHC": name} for number, name, _, _ in list_procedures()],
        "LayDanhMucLinhVuc": [{"MALINHVUC": field, "TENLINHVUC": name} for field, name in fields.items()],
        "LayDanhMucCoQuan": [{"MADONVI": code, "TENDONVI": name} for code, name in ORGANS],
    }


def find_procedure(code: str) -> Rows:
    """Return the procedure *code* as `LayThuTuc` returns it: one row, or none."""
    return [
        {"MATTHC": number, "TENTTHC": name, "LINHVUCTHUCHIEN": [{"MALINHVUC": field, "TENLINHVUC": field_name}]}
        for number, name, field, field_name in list_procedures()
        if number == code
    ]
