"""Writes a report in the format with the given name. Knows which formats there are; other modules write them.

The libraries for workbooks and PDF are large. They are imported when such a format is requested.
"""

from collections.abc import Iterable, Mapping, Sequence

from hub.language.languages import Language
from hub.report.counting.counting import Report
from hub.report.counting.evidence import EvidenceLine, EvidenceLines, EvidenceSummary
from hub.report.counting.marks import require_untampered
from hub.report.output import outputs
from hub.report.output.charts import Plot
from hub.report.output.paper import PrintedRevision
from hub.report.signed import sealed
from hub.security.certificates import Signer


def write_report(
    kind: str,
    report: Report,
    names: Mapping[str, str],
    lines: Sequence[EvidenceLine] | EvidenceLines | EvidenceSummary | str,
    language: Language,
    identity: Signer | None,
    *,
    receiver: str = "",
    charts: Iterable[Plot] = (),
    revision: PrintedRevision | None = None,
) -> bytes:
    """Return *report* as `csv`, `html`, `json`, `pdf`, `xlsx` or `xml`.

    *lines*: its evidence, which the last three contain; for `pdf` and `xlsx` its SHA-256 is enough. *identity*: the
    hub's own key, which seals XML (None: XML is not requested); the seal vouches for the numbers and for no person.
    *charts*: drawn in html, pdf and xlsx. *revision*: printed in html and pdf. Raises Unready when the report cannot be sealed now; KeyError for another
    format; Rejected with `closing-tampered` if a closed month behind it was edited in the database.
    """
    if kind != "json":  # which says it itself
        require_untampered(report.marks)
    match kind:
        case "json":
            return (outputs.write_json_report(report, names).rstrip("\n") + "\n").encode()
        case "html":
            written = outputs.write_html_report(
                report, names, language, receiver=receiver, charts=charts, revision=revision
            )
            return written.encode()
        case "csv":
            return outputs.write_csv_report(report, names, language)
        case "xlsx":
            from hub.report.output.workbook import write_xlsx_report

            assert not isinstance(lines, EvidenceSummary)
            return write_xlsx_report(report, names, lines, language, receiver=receiver, charts=tuple(charts))
        case "pdf":
            from hub.report.output.pdf import write_pdf_report

            return write_pdf_report(
                report, names, lines, language, receiver=receiver, charts=tuple(charts), revision=revision
            )
        case "xml":
            assert not isinstance(lines, str)
            assert identity is not None
            return sealed.seal_report(report, names, lines, identity)
    raise KeyError(kind)
