"""Renders the pages of the console: templates, languages, links, wording. Contains no sessions and no journal.

A page runs no script and has no inline style. It loads only the style sheet and the icon.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from hub.domain.local_time import HANOI
from hub.domain.model import Language
from hub.report.counting.counting import Report
from hub.report.form.form import ColumnKind
from hub.report.output import svg, words
from hub.report.output.charts import make_plots

_FOLDER = Path(__file__).parent / "templates"

#: Static files: name -> media type.
BESIDE = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


def read_static_file(name: str) -> bytes:
    """Return the content of a static file."""
    return (_FOLDER / name).read_bytes()


def choose_language(asked: str | None, kept: str | None, accepted: str) -> Language:
    """Return the language of a page.

    The order is: *asked* (query), *kept* (cookie), *accepted* (Accept-Language). The default is Vietnamese.
    """
    for said in (asked, kept):
        if said is not None and said in {*Language}:
            return Language(said)
    ranks: dict[str, float] = {}
    for part in accepted.split(",")[:20]:
        tag, _, rest = part.strip().partition(";")
        try:
            rank = float(rest.strip().removeprefix("q=")) if rest else 1.0
        except ValueError:
            continue
        primary = tag.strip().lower().partition("-")[0]
        ranks[primary] = max(rank, ranks.get(primary, 0.0))
    return Language.EN if ranks.get("en", 0.0) > ranks.get("vi", 0.0) else Language.VI


def build_page_path(*pieces: str, **query: str | None) -> str:
    """Return the address of a page. A piece may hold any character. Query values that are None are left out."""
    said = {name: value for name, value in query.items() if value is not None}
    return "/" + "/".join(quote(piece, safe="") for piece in pieces) + (f"?{urlencode(said)}" if said else "")


def render_page(template: str, said: Mapping[str, object]) -> bytes:
    """Return a page as UTF-8."""
    return _TEMPLATES.get_template(f"{template}.html.jinja").render(said).encode()


def render_charts(
    report: Report, names: Mapping[str, str], others: Sequence[Report] | None, language: Language
) -> list[Markup] | None:
    """Return the charts of *report* and of the *others* as SVG; None if *others* is None."""
    if others is None:
        return None
    drawn = make_plots(report, names, others, language)
    return [Markup(svg.draw_plot(plot, language, f"chart-{place}")) for place, plot in enumerate(drawn, 1)]  # noqa: S704 - it is ours, and escapes


def write_second(value: datetime | str) -> str:
    """Write an instant as dd/MM/yyyy HH:mm:ss in Hà Nội."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{instant.astimezone(HANOI):%d/%m/%Y %H:%M:%S}"


def write_size(octets: int, language: Language) -> str:
    """Write a number of octets in MB, kB or byte."""
    for unit, step in (("MB", 1 << 20), ("kB", 1 << 10)):
        if octets >= step:
            text = f"{octets / step:.1f}"
            return f"{text if language == 'en' else text.replace('.', ',')} {unit}"
    return f"{octets} byte"


def gloss_name(name: str, language: Language) -> str:
    """Return the display name of an event, a milestone or a state; *name* itself if it has none."""
    if name.startswith("status-") and name[7:].isdigit():
        return f"status {name[7:]}" if language == Language.EN else f"trạng thái {name[7:]}"
    return _WORDS[name][language == Language.EN] if name in _WORDS else name


def _day(value: date | str) -> str:
    return words.write_day(date.fromisoformat(value) if isinstance(value, str) else value)


#: Events, milestones, states, outcomes, roles: (Vietnamese, English).
_WORDS = {
    "message-accepted": ("đã nhận vào nhật ký", "accepted into the journal"),
    "message-refused": ("bị từ chối", "refused"),
    "message-repeated": ("gửi lại y nguyên, cùng biên nhận", "received again unchanged, same receipt"),
    "packet-signature": ("chữ ký trong gói tin", "the packet's own signature"),
    "deviation-tolerated": ("lệch chuẩn, được bỏ qua", "deviation from the standard, tolerated"),
    "document-unknown": ("văn bản được nhắc tới chưa có trong nhật ký", "unknown document"),
    "sha1-used": ("chữ ký dùng SHA-1", "a signature used SHA-1"),
    "delivery-waiting": ("lượt chuyển: đang chờ gửi", "delivery: waiting"),
    "delivery-held": ("lượt chuyển: chờ đến lấy", "delivery: held to be fetched"),
    "delivery-fetched": ("lượt chuyển: đã lấy", "delivery: fetched"),
    "delivery-delivered": ("lượt chuyển: đã đến nơi", "delivery: delivered"),
    "delivery-dead": ("lượt chuyển: lỗi, thôi gửi", "delivery: dead"),
    "delivery-replayed": ("lượt chuyển: được gửi lại", "delivery: replayed"),
    "delivery-marked": ("lượt chuyển: không gửi nữa", "delivery: will not be sent"),
    "delivery-overdue-held": ("lượt chuyển: ba ngày chưa ai lấy", "delivery: not fetched for three days"),
    "attempt-started": ("bắt đầu một lần gửi", "an attempt began"),
    "attempt-ended": ("kết thúc lần gửi", "the attempt ended"),
    "attempt-interrupted": ("lần gửi bị ngắt", "the attempt was interrupted"),
    "status-moved": ("trạng thái mới", "new status"),
    "status-kept": ("trạng thái không làm đổi gì", "status without effect"),
    "change-answered": ("bên nhận trả lời", "the recipient answered"),
    "recall-agreed": ("đồng ý thu hồi", "the recall was agreed to"),
    "recall-refused": ("từ chối thu hồi", "the recall was refused"),
    "fact-recorded": ("ghi nhận kết quả", "a fact was recorded"),
    "fact-differs": ("số liệu gửi sau khác số đã ghi", "a later figure differs from the recorded one"),
    "report-handed-in": ("báo cáo được nộp", "the report was submitted"),
    "report-revised": ("báo cáo có bản mới", "the report was revised"),
    "report-published": ("báo cáo được công bố", "the report was published"),
    "lookup-asked": ("tra cứu được gửi đi", "the lookup was sent"),
    "lookup-settled": ("tra cứu có kết quả", "the lookup has a result"),
    "sent": ("gửi đi", "sent"),
    "sent-recall": ("gửi thu hồi", "recall sent"),
    "sent-update": ("gửi cập nhật", "update sent"),
    "sent-replacement": ("gửi thay thế", "replacement sent"),
    "received": ("nhận được", "received"),
    "failed": ("chuyển lỗi", "failed"),
    "waiting": ("đang chờ", "waiting"),
    "sending": ("đang gửi", "sending"),
    "held": ("chờ đến lấy", "held"),
    "fetched": ("đã lấy", "fetched"),
    "delivered": ("đã đến nơi", "delivered"),
    "dead": ("lỗi", "dead"),
    "accepted": ("được nhận", "accepted"),
    "refused": ("bị từ chối", "refused"),
    "unavailable": ("không liên lạc được", "unavailable"),
    "postponed": ("hẹn lại", "postponed"),
    "interrupted": ("bị ngắt", "interrupted"),
    "document": ("văn bản", "document"),
    "recall": ("thu hồi", "recall"),
    "update": ("cập nhật", "update"),
    "replacement": ("thay thế", "replacement"),
    "status": ("trạng thái", "status"),
    "valid": ("đúng", "valid"),
    "invalid": ("không đúng", "invalid"),
    "unsigned": ("chưa ký, hoặc chưa ký toàn bộ", "unsigned, or signed in part"),
    "unverifiable": ("không kiểm tra được", "unverifiable"),
    "equal": ("bằng nhau", "equal"),
    "differs": ("chênh lệch", "differs"),
    "no-evidence": ("không có căn cứ", "no evidence"),
    "report-declared": ("đơn vị khai số liệu", "figures were declared"),
    "declaration": ("số liệu đơn vị khai", "declaration"),
    "report-closed": ("báo cáo được khóa để ký", "the report was closed for signing"),
    "report-signed": ("đã nhận bản ký", "the signed report was accepted"),
    "report-signature-refused": ("bản ký không được nhận", "a signed report was refused"),
    "state-closed": ("đã khóa, chờ ký", "closed, waits for signature"),
    "state-signed": ("đã ký", "signed"),
    "state-submitted": ("đã nộp", "submitted"),
    "state-accepted": ("được chấp nhận", "accepted"),
    "state-returned": ("bị trả lại", "returned"),
    "reader": ("người đọc", "reader"),
    "clerk": ("văn thư", "clerk"),
    "operator": ("người vận hành", "operator"),
}

_STYLE = hashlib.sha256(read_static_file("style.css")).hexdigest()[:16]
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "number": words.write_number,
    "day": _day,
    "moment": words.write_moment,
    "second": write_second,
    "size": write_size,
    "gloss": gloss_name,
}
_TEMPLATES.globals |= {"path": build_page_path, "TIME": ColumnKind.TIME, "style": f"/console/style.css?{_STYLE}"}
