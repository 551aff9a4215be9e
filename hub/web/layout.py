"""Renders the pages of the console: templates, languages, links. Contains no texts, no sessions and no journal.

A page has no inline style and no inline script. It loads only the style sheet and the icon; the signing page and the page of
a replay plan also load a script.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from hub.domain.errors import explain_refusal
from hub.domain.local_time import localise_instant
from hub.domain.written_times import write_duration, write_second
from hub.language import terms
from hub.language.catalogues import translate
from hub.language.fields import choose_detail, find_field_term, name_field
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases
from hub.operations.page_paths import build_page_path
from hub.report import words
from hub.report.counting.counting import Report
from hub.report.form.column import ColumnKind
from hub.report.output import svg
from hub.report.output.charts import make_plots
from hub.services.defined import DefinedService

_FOLDER = Path(__file__).parent / "templates"
#: Problems that are named where an event is on a few lines.
LISTED = 3

#: Static files: name -> media type.
BESIDE = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "signing.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
}


def read_static_file(name: str) -> bytes:
    """Return the content of a static file."""
    return (_FOLDER / name).read_bytes()


def render_page(template: str, language: Language, said: Mapping[str, object]) -> bytes:
    """Return a page in *language* as UTF-8."""
    given = {"language": language, **make_sayers(language), **said}
    return _TEMPLATES.get_template(f"{template}.html.jinja").render(given).encode()


def render_kit_page(language: Language, said: Mapping[str, object]) -> bytes:
    """Return the page of a partner's kit in *language*, with the style sheet in it: it is read away from the hub."""
    css = Markup(read_static_file("style.css").decode())  # noqa: S704 - it is ours
    return render_page("kit", language, {**said, "css": css})


def render_charts(
    report: Report, names: Mapping[str, str], others: Sequence[Report] | None, language: Language
) -> list[Markup] | None:
    """Return the charts of *report* and of the *others* as SVG; None if *others* is None."""
    if others is None:
        return None
    drawn = make_plots(report, names, others, language)
    return [Markup(svg.draw_plot(plot, language, f"chart-{place}")) for place, plot in enumerate(drawn, 1)]  # noqa: S704 - it is ours, and escapes


def write_size(octets: int, language: Language) -> str:
    """Write a number of octets in TB, GB, MB, kB or byte."""
    for unit, step in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if octets >= step:
            return f"{words.write_number(Decimal(octets / step).quantize(Decimal('0.1')), language)} {unit}"
    return translate(phrases("{count} byte", "{count} bytes", count=octets), language)


def gloss_name(word: str, language: Language, scope: str) -> str:
    """Return the name of *word* in *scope* (`hub.language.terms`); *word* itself if it has none."""
    return translate(terms.name_word(scope, word), language)


@jinja2.pass_context
def _gloss_in_page(around: jinja2.runtime.Context, word: str, language: Language, scope: str) -> str:
    """Return the name of *word* as `gloss_name` does; of a word of a service that the configuration defines, its own."""
    defined: Mapping[str, DefinedService] = around.get("defined") or {}
    service = defined.get(word if scope == "service" else scope)
    if service is not None and (own := service.title if scope == "service" else service.find_term(word)) is not None:
        return own.say(language)
    return gloss_name(word, language, scope)


def explain_word(word: str, language: Language, scope: str) -> str:
    """Return what *word* means in *scope*, as a sentence; empty if it is not known."""
    term = terms.find_term(scope, word)
    return "" if term is None else translate(term.meaning, language)


def name_event_value(value: object, field: str, service: str, language: Language) -> object:
    """Return the value of a field of an event as its reader sees it: a word of the hub by its name, a code with its name."""
    match value:
        case bool():
            return translate(phrase("yes") if value else phrase("no"), language)
        case [{"code": _}, *_]:
            some = [str(name_event_value(each, field, service, language)) for each in value[:LISTED]]
            return ", ".join(some) + (f", … (+{len(value) - LISTED})" if len(value) > LISTED else "")
        case list():
            return ", ".join(str(name_event_value(each, field, service, language)) for each in value)
        case Mapping() if "code" in value:
            code, told = value["code"], choose_detail(value, language)
            return f"{code}: {told['detail']}" if told.get("detail") else code
        case str() if field in {"reason", "stopped"}:
            return translate(terms.describe_reason(value), language)
        case str() if (term := find_field_term(field, value, service)) is not None:
            name = translate(term.name, language)
            return f"{value} ({name})" if value.isdecimal() else name
    return value


def localise_times(value: object) -> object:
    """Return *value*; an instant in ISO 8601, as an event has it, as dd/MM/yyyy HH:mm:ss in Hà Nội."""
    return localise_instant(value) if isinstance(value, str) else value


def name_event_field(key: str, language: Language) -> str:
    """Return what a field of an event is called."""
    return translate(name_field(key), language)


def describe_stored_reason(reason: str | None, language: Language) -> str:
    """Return why a delivery or an attempt stands as it does; "" if no reason is stored."""
    return translate(terms.describe_reason(reason), language) if reason else ""


def write_refusal(refusal: str, language: Language) -> list[str]:
    """Return the reasons of a refusal: the sentence of each code, and what was found."""
    found = explain_refusal(refusal)
    return [each if said is None else f"{translate(said, language)} [{each}]" for each, said in found]


def mark_code(text: str) -> Markup:
    """Return *text* with each part between two backticks as code. All of it is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick has no other
        return escape(text)
    marked = (Markup("<code>{}</code>") if place % 2 else Markup("{}") for place in range(len(parts)))
    return Markup("").join(each.format(part) for each, part in zip(marked, parts, strict=True))


def make_sayers(language: Language) -> dict[str, Callable[..., str]]:
    """Return the two functions by which a template says a text in *language*: `_` and `ngettext`.

    `./dev words` finds each text by these names. The result is escaped with the values in it.
    """

    def say(id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
        return translate(Phrase(id, arguments), language)

    def say_count(one: str, many: str, /, **arguments: object) -> str:
        return translate(Phrase(one, arguments, plural=many), language)

    return {"_": say, "ngettext": say_count}


def write_fact_key(key: str) -> str:
    """Write the key of a fact: of one that is made of pieces (a JSON array), the pieces."""
    with contextlib.suppress(ValueError):
        if isinstance(pieces := json.loads(key), list):
            return " · ".join(map(str, pieces))
    return key


def _say_day(value: date | str) -> str:
    return words.write_day(date.fromisoformat(value) if isinstance(value, str) else value)


def _name_version(name: str) -> str:
    """Return the address of a static file. It changes with the content, because browsers keep the file."""
    return f"/console/{name}?{hashlib.sha256(read_static_file(name)).hexdigest()[:16]}"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "number": words.write_number,
    "day": _say_day,
    "month": words.write_short_period,
    "moment": words.write_moment,
    "second": write_second,
    "cell": words.write_value,
    "size": write_size,
    "duration": write_duration,
    "gloss": _gloss_in_page,
    "meaning": explain_word,
    "said": name_event_value,
    "in_language": choose_detail,
    "local": localise_times,
    "field": name_event_field,
    "because": describe_stored_reason,
    "refusal": write_refusal,
    "translate": translate,
    "coded": mark_code,
    "pieces": write_fact_key,
}
_TEMPLATES.globals |= {
    "path": build_page_path,
    "TIME": ColumnKind.TIME,
    "style": _name_version("style.css"),
    "script": _name_version("signing.js"),
    "live_script": _name_version("live.js"),
}
