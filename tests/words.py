"""Keeps the catalogues of the hub's words: `./dev words` takes new texts in, drops old ones, and says what has no translation; it also
writes the pages of words, docs/reference/words.md in both languages, and the alert rules that say words of the hub.

Reads the sources for `phrase("…")`, `phrases("…", "…")` and `t("…")`, the pages of the console for `_("…")`, the tables
`hub/language/*.json`, and click for its own words.  English is the id itself, so its catalogue is filled here.
"""

import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract, extract_from_dir
from babel.messages.pofile import read_po, write_po

from hub.language.catalogues import DOMAIN, FOLDER, translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, verbatim
from hub.language.tables import read_table
from hub.language.terms import read_terms

ROOT = Path(__file__).resolve().parent.parent
#: The folders of sources, and what in each says nothing to a person.
SOURCES = {"hub": "samples/**", "adapters": "**/samples/**", "demo/lienthong_demo": "partners/**.py"}
KEYWORDS = {"phrase": None, "phrases": (1, 2), "t": None}


def extracted() -> Catalog:
    """Return every text of the hub and of click, without translations."""
    found = Catalog(domain=DOMAIN, project="Liên Thông", charset="utf-8")
    for text in (*_of_sources(), *_of_pages(), *_of_tables(), *_of_click()):
        found.add(text)
    return found


def _of_sources() -> Iterator[str | tuple[str, ...]]:
    for folder, silent in SOURCES.items():
        methods = [(silent, "ignore"), ("**.py", "python")]
        for *_, text, _, _ in extract_from_dir(ROOT / folder, methods, keywords=KEYWORDS, strip_comment_tags=True):
            yield text
    with (ROOT / "tap.py").open("rb") as file:
        for _, text, _, _ in extract("python", file, keywords=KEYWORDS):
            yield text


def _of_pages() -> Iterator[str | tuple[str, ...]]:
    for *_, text, _, _ in extract_from_dir(
        ROOT / "hub", [("**.jinja", "jinja2")], keywords={"_": None, "ngettext": (1, 2)}
    ):
        yield text


def _of_tables() -> Iterator[str]:
    for file in sorted((ROOT / "hub/language").glob("*.json")):
        yield from _texts(read_table(file.stem))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _of_click() -> Iterator[str | tuple[str, ...]]:
    spec = find_spec("click")
    assert spec is not None
    for place in spec.submodule_search_locations or ():
        for *_, text, _, _ in extract_from_dir(place, [("**.py", "python")], keywords={"_": None, "ngettext": (1, 2)}):
            yield text


def in_vietnamese(said: Phrase) -> str:
    """Return what a Vietnamese reader is told; fails where the catalogue does not have it."""
    assert said.id in _ids() or said == verbatim(said.arguments.get("value")), said
    return translate(said, Language.VI)


@cache
def _ids() -> frozenset[object]:
    return frozenset(message.id for message in read(Language.VI) if message.string)


def path_of(language: Language) -> Path:
    """Return the catalogue of a language."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: Language) -> Catalog:
    """Return the catalogue of a language as it is kept."""
    if not path_of(language).exists():
        return Catalog(locale=str(language), domain=DOMAIN)
    with path_of(language).open("rb") as file:
        return read_po(file, locale=str(language), domain=DOMAIN)


def brought_up_to_date(language: Language) -> Catalog:
    """Return the catalogue of a language with every text of today and no other."""
    kept, today = read(language), extracted()
    for message in today:
        if message.id:
            known = kept.get(message.id)
            message.string = _english(message) if language is Language.EN else known.string if known else message.string
    today.locale = str(language)
    return today


def _english(message: Message) -> str | tuple[str, ...]:
    return tuple(message.id) if message.pluralizable else str(message.id)


def written(catalogue: Catalog) -> bytes:
    """Return a catalogue as it is kept: without lines that change with each run."""
    output = BytesIO()
    write_po(output, catalogue, width=110, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True)
    head = f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: {catalogue.locale}\\n"\n'
    return f'{head}"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'.encode() + output.getvalue()


#: scope of a term -> the heading of its table on the page of words.
SCOPES = {
    "event": ("Sự kiện", "Events"),
    "service": ("Dịch vụ", "Services"),
    "message": ("Tình trạng của thông điệp", "States of a message"),
    "delivery": ("Tình trạng của lượt chuyển", "States of a delivery"),
    "attempt": ("Kết quả của lần gửi", "Outcomes of an attempt"),
    "status": ("Trạng thái của văn bản (QCVN 102)", "Statuses of a document (QCVN 102)"),
    "signature": ("Chữ ký của gói tin", "A packet's own signature"),
    "effect": ("Một thay đổi làm gì với lượt chuyển", "What a change does to a delivery"),
    "effect-of-rules": ("Quy tắc khác làm thay đổi gì", "What other rules would change"),
    "trial": ("Tình trạng của lần thử quy tắc khác", "States of a trial of other rules"),
    "retention": ("Phần của một tháng được lưu trữ", "Parts of months that go into archives"),
    "backup": ("Lần sao lưu", "Backups"),
    "era": ("Vì sao một thời kỳ của nhật ký mở ra", "Why an era of the journal began"),
    "migration": ("Bước nâng cấp cơ sở dữ liệu", "Migrations of the database"),
    "plan": ("Tình trạng của kế hoạch gửi lại", "States of a replay plan"),
    "item": ("Lượt chuyển trong kế hoạch gửi lại", "Deliveries of a replay plan"),
    "replay": ("Vì sao không gửi lại", "Why a delivery is not replayed"),
    "documents": ("Văn bản: loại và mốc", "Documents: kinds and milestones"),
    "dossiers": ("Hồ sơ: loại và mốc", "Dossiers: kinds and milestones"),
    "mail": ("Thư điện tử: loại và mốc", "Mail: kinds and milestones"),
    "work": ("Công việc: loại và mốc", "Work items: kinds and milestones"),
    "meetings": ("Họp: loại và mốc", "Meetings: kinds and milestones"),
    "incidents": ("Sự cố: loại và mốc", "Incidents: kinds and milestones"),
    "links": ("Đường truyền: loại và mốc", "Links: kinds and milestones"),
    "lookups": ("Tra cứu: loại và kết quả", "Lookups: kinds and outcomes"),
    "categories": ("Danh mục: loại", "Code lists: kinds"),
    "reports": ("Báo cáo: loại và tình trạng", "Reports: kinds and states"),
    "publications": ("Công bố: loại", "Publications: kinds"),
    "verdicts": ("Trả lời về báo cáo: loại", "Verdicts on reports: kinds"),
    "verdict": ("Ô khai cạnh ô đếm", "A declared cell beside the counted one"),
    "declaration": ("Khai báo của đơn vị trong một đợt", "Declarations of units in a round"),
    "role": ("Vai trò", "Roles"),
    "permission": ("Quyền, cũng là phạm vi của mã truy cập", "Permissions, which are also the scopes of tokens"),
    "check": ("Những gì /readyz kiểm tra", "What /readyz checks"),
    "node": ("Tình trạng của nút", "States of a node"),
    "content": ("Nội dung được mở", "Content that was opened"),
    "relation": ("Các thông điệp liên quan", "Linked messages"),
    "link": ("Tình trạng của đường truyền", "States of a link"),
    "alert": ("Nhắc việc qua thư", "Alerts by mail"),
    "condition": ("Cảnh báo cho người vận hành", "Alerts to operators"),
    "severity": ("Mức độ của cảnh báo", "Severity of an alert"),
    "transition": ("Chuyển biến của cảnh báo", "Transition of an alert"),
    "breaker": ("Ngắt mạch", "Breaker"),
    "duty": ("Phần việc còn lại", "Duties"),
    "concern": ("Điều cần chú ý", "What needs attention"),
    "revocation": ("Thu hồi chứng thư", "Revocation of a certificate"),
    "receive": ("Đối tác nhận thế nào", "How a partner receives"),
    "mark": ("Nguồn của một đơn vị", "Where a unit comes from"),
    "unit-level": ("Cấp của một đơn vị", "The level of a unit"),
    "unit-kind": ("Loại của một đơn vị", "What a unit is"),
}
PAGES = {Language.EN: ROOT / "docs/reference/words.md", Language.VI: ROOT / "docs/vi/reference/words.md"}
_HEADS = {
    Language.EN: (
        (
            "# Words of the trade\n\n[Tiếng Việt](../vi/reference/words.md)\n\n"
            "The words that the hub keeps, in the journal, in JSON and in logs, with the names under which people read them.\n"
            "This page is made from `hub/language/terms.json` (`./dev words`).\n"
        ),
        "| word | name | meaning |",
    ),
    Language.VI: (
        (
            "# Từ nghiệp vụ\n\n[English](../../reference/words.md)\n\n"
            "Những từ mà trục giữ trong nhật ký, trong JSON và trong nhật ký chạy, cùng tên gọi mà người đọc thấy.\n"
            "Trang này được lập từ `hub/language/terms.json` (`./dev words`).\n"
        ),
        "| từ | tên | nghĩa |",
    ),
}


def page_of_words(language: Language) -> str:
    """Return the page that explains every term in a language."""
    head, titles = _HEADS[language]
    lines = [head]
    for scope, named in SCOPES.items():
        lines += [f"## {named[language is Language.EN]}\n", titles, "|---|---|---|"]
        for key, term in read_terms().items():
            if key.startswith(f"{scope}/"):
                name, meaning = translate(term.name, language), translate(term.meaning, language)
                lines.append(f"| `{key.partition('/')[2] or '–'}` | {name} | {meaning} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def untranslated(catalogue: Catalog) -> list[object]:
    """Return the ids that have no translation, or one that may be wrong."""
    return [message.id for message in catalogue if message.id and (message.fuzzy or not all(_strings(message)))]


def _strings(message: Message) -> tuple[str | None, ...]:
    return tuple(message.string) if isinstance(message.string, tuple | list) else (message.string,)


def main() -> int:
    """Write the catalogues anew, compile them, and write what says the words.  1 where a text has no translation."""
    from hatch_build import compile_catalogues  # it needs hatchling, and reading a catalogue does not
    from tests import alert_rules

    kept = {language: brought_up_to_date(language) for language in Language}
    for language, catalogue in kept.items():
        path_of(language).write_bytes(written(catalogue))
    compile_catalogues(ROOT)
    for language in Language:
        PAGES[language].write_text(page_of_words(language), "utf-8")
    alert_rules.RULES.write_text(alert_rules.write_rules(alert_rules.RULES.read_text("utf-8")), "utf-8")
    left = [f"{language}: {text}\n" for language, catalogue in kept.items() for text in untranslated(catalogue)]
    sys.stderr.write("".join(left) + f"{len(left)} texts without a translation\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
