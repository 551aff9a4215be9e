"""What a browser asks, and what it gets: values between HTTP and the pages.  Knows the rules of origin and proof; no Twisted, no journal."""

import hmac
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import attrs

from hub.console import layout, sessions
from hub.formats.spool import Octets

#: The cookies.  `__Host-`: the browser takes them over TLS only, for this host and every path of it, and no other host can set them.
SESSION = "__Host-lienthong"
BEGINNING = "__Host-lienthong-begin"  #: before anybody is signed in
LANGUAGE = "__Host-lienthong-lang"


@attrs.frozen(kw_only=True)
class ConsoleRequest:
    """One request."""

    method: str = "GET"
    path: tuple[str, ...] = ()  #: decoded piece by piece; `/` has none
    query: Mapping[str, str] = attrs.field(factory=dict)
    form: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    file: Octets | None = attrs.field(
        default=None, repr=False
    )  #: what was sent with the form; it is there until the answer is
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    host: str = ""
    origin: str = ""
    site: str = ""  #: Sec-Fetch-Site
    languages: str = ""
    address: str = ""
    wanted: Callable[[], bool] = attrs.field(
        default=lambda: True, eq=False, repr=False
    )  #: whether somebody waits for the answer

    @property
    def language(self) -> str:
        """The language of the answer."""
        return layout.choose_language(self.query.get("lang"), self.cookies.get(LANGUAGE), self.languages)

    def here(self, language: str) -> str:
        """Return the same page in a language."""
        query = {name: value for name, value in self.query.items() if name != "lang"}
        return layout.page_path(*(self.path if self.method == "GET" else ()), **query, lang=language)


@attrs.frozen(kw_only=True)
class ConsoleResponse:
    """One answer: a page, or a way to another, or the bytes of a message."""

    status: int = 200
    content: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    cookies: tuple[str, ...] = ()  #: each as Set-Cookie has it
    location: str | None = None
    filename: str | None = None  #: it is kept as a file, and not shown
    stored: str | None = None  #: the SHA-256 of what the journal holds and is sent in its place
    size: int | None = None  #: of that
    retry_after: int | None = None
    lasting: bool = False  #: it may be kept by the browser


class RequestRefused(Exception):
    """The request is refused with a page that says, in both languages, what is wrong and what to do."""

    def __init__(self, status: int, vi: str, do_vi: str, en: str, do_en: str, retry_after: int | None = None) -> None:
        super().__init__(f"{status} {en}")
        self.status, self.vi, self.do_vi, self.en, self.do_en = status, vi, do_vi, en, do_en
        self.retry_after = retry_after


def refuse_as_absent() -> RequestRefused:
    """There is nothing there, or nothing for this user: the two look the same."""
    return RequestRefused(
        404,
        "Không có trang này",
        "Hãy kiểm tra địa chỉ; hoặc trang thuộc đơn vị mà tài khoản này không được xem.",
        "There is no such page",
        "Check the address; or it belongs to a unit that this account may not see.",
    )


def refuse_unproven_form() -> RequestRefused:
    """The form was not filled in on a page of this session."""
    return RequestRefused(
        403,
        "Biểu mẫu đã cũ hoặc đến từ trang khác",
        "Chưa có gì thay đổi. Hãy mở lại trang, đăng nhập nếu cần, rồi gửi lại.",
        "The form is old, or came from another site",
        "Nothing was changed. Open the page again, sign in if asked to, and send it once more.",
    )


def not_yours() -> RequestRefused:
    """The role does not allow it."""
    return RequestRefused(
        403,
        "Vai trò của tài khoản này không được nộp số liệu",
        "Chưa có gì thay đổi. Hãy nhờ văn thư của đơn vị, hoặc xin người vận hành cấp vai trò.",
        "The role of this account may not declare figures",
        "Nothing was changed. Ask the unit's clerk, or ask the operator for the role.",
    )


def not_your_signing() -> RequestRefused:
    """The role does not allow that either."""
    return RequestRefused(
        403,
        "Vai trò của tài khoản này không được lấy báo cáo đi ký hoặc nộp bản đã ký",
        "Chưa có gì thay đổi. Hãy nhờ văn thư của đơn vị, hoặc xin người vận hành cấp vai trò.",
        "The role of this account may not get reports to be signed, or hand them back",
        "Nothing was changed. Ask the unit's clerk, or ask the operator for the role.",
    )


def refuse_as_busy(retry_after: int = 5) -> RequestRefused:
    """It cannot be answered now."""
    return RequestRefused(
        503,
        "Trục đang bận hoặc chưa đọc được nhật ký",
        "Hãy tải lại trang sau ít phút.",
        "The hub is busy, or cannot read its journal now",
        "Load the page again in a moment.",
        retry_after,
    )


def refuse_outstanding_duties(left: str, retry_after: int) -> RequestRefused:
    """Facts that the report would count are still to be written: *left*."""
    return RequestRefused(
        503,
        "Còn kết quả của thông điệp đã nhận đang được ghi",
        f"Hãy tải lại trang sau ít phút ({left}).",
        "Facts of messages that were taken in are still being written",
        f"Load the page again in a moment ({left}).",
        retry_after,
    )


def too_large() -> RequestRefused:
    """More was sent than any form of the console holds."""
    return RequestRefused(
        413,
        "Nội dung gửi lên quá lớn",
        "Hãy gửi tệp nhỏ hơn.",
        "What was sent is too large",
        "Send a smaller file.",
    )


def no_method() -> RequestRefused:
    """A page is read, and a form sent; nothing else."""
    return RequestRefused(
        405,
        "Trang này không nhận cách gọi đó",
        "Hãy mở trang bằng trình duyệt.",
        "This page does not take that method",
        "Open it in a browser.",
    )


def refuse_as_failed() -> RequestRefused:
    """Ours."""
    return RequestRefused(
        500,
        "Lỗi của trục liên thông",
        "Hãy tải lại trang; nếu vẫn vậy, báo người vận hành kèm thời điểm.",
        "The hub failed",
        "Load the page again; if it stays so, tell the operator when it was.",
    )


def demand_proof(asked: ConsoleRequest, word: str | None) -> None:
    """Refuse a form that did not come from a page of ours, read in the session of *word*.  Raises `RequestRefused`.

    A browser says where a form was sent from (Origin, RFC 6454; Sec-Fetch-Site); it must be this very host, over TLS.
    """
    ours = bool(asked.host) and asked.origin.lower() == f"https://{asked.host.lower()}"
    if word is None or not ours or asked.site not in {"", "same-origin"}:
        raise refuse_unproven_form()
    given = asked.form.get("proof", "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), sessions.form_proof(word).encode()):
        raise refuse_unproven_form()


def write_set_cookie(name: str, value: str, seconds: int | None = None) -> str:
    """Return a Set-Cookie; without *seconds* it lasts as long as the browser, with 0 it is taken away."""
    ends = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{ends}"


def own_place(text: str) -> str:
    """Return the address on this host that *text* names, `/` for any other: nobody is sent elsewhere after signing in."""
    try:
        parts = urlsplit(text) if text.isprintable() and not text.startswith(("//", "/\\")) else None
    except ValueError:  # brackets that hold no address
        parts = None
    if parts is None or parts.scheme or parts.netloc or not parts.path.startswith("/") or "\\" in text:
        return "/"
    return text
