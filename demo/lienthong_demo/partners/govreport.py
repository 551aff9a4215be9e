"""The Government's reporting system: accepts sealed reports of units, checks them and publishes a verdict on each.

Knows its own rules, the schema of a sealed report and the hub's certificate. Knows nothing else of the hub. Over HTTP:
`POST /reports` (multipart: form, unit, period, revision, report, workbook), `GET /verdicts?after=ID`. With `--drop DIR`
it reads `DIR/out` when ordered and writes its verdicts into `DIR/in`. It checks everything: the seal, the sums, and
that the workbook belongs to this report.
"""

import argparse
import hashlib
import json
import threading
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from lxml import etree

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook
from lienthong_demo.protocol.partner_server import PartnerServer
from lienthong_demo.protocol.signing import DS, find_document_signer, is_sealed

NS = "{urn:lienthong:report:1}"
_PROPERTY = "{http://schemas.openxmlformats.org/officeDocument/2006/custom-properties}property"


@attrs.frozen
class HandedReport:
    """A report as it was submitted."""

    fields: Mapping[str, str]
    xml: bytes
    xlsx: bytes | None


class SubmissionUnfit(Exception):
    """The report is refused at once. The argument is a list of its mistakes."""


@attrs.define
class ReportingState:
    """The submitted reports by form, unit, period and revision, and the verdicts in order."""

    notebook: Notebook
    hub: x509.Certificate
    returning: list[str] = attrs.field(factory=list)  #: reasons for which the next reports are returned
    references: dict[str, tuple[str, str]] = attrs.field(factory=dict)  #: key -> SHA-256, reference
    verdicts: list[dict[str, Any]] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def reopen(self) -> None:
        """Restore the state from the notebook."""
        for line in read_notebook(self.notebook.path):
            if line["what"] == "taken":
                self.references[str(line["key"])] = (str(line["sha256"]), str(line["reference"]))
            elif line["what"] == "verdict":
                self.verdicts.append(dict(line["verdict"]))  # type: ignore[call-overload]

    def take(self, handed: HandedReport, note: Any) -> tuple[str, bool]:
        """Take a report. Return its reference and whether it came before. Raises SubmissionUnfit."""
        with self._lock:
            return self._take(handed, note)

    def _take(self, handed: HandedReport, note: Any) -> tuple[str, bool]:
        root, signed_by = self._opened(handed.xml)
        said = read_report_keys(root)
        if wrong := [f"{name} khác báo cáo" for name, value in said.items() if handed.fields.get(name) != value]:
            raise SubmissionUnfit(wrong)
        key, sha256 = "/".join(said.values()), hash_content(handed.xml)
        if key in self.references:
            before, reference = self.references[key]
            if before != sha256:
                raise SubmissionUnfit([f"{key}: đã nộp một bản khác"])
            note("repeated", key=key, sha256=sha256)
            return reference, True
        if handed.xlsx is not None and read_workbook_sha256(handed.xlsx) != _text(root, "Evidence"):
            raise SubmissionUnfit(["bảng tính không phải của báo cáo này"])
        reference = f"BC-{len(self.references) + 1:06}"
        reasons = [self.returning.pop(0)] if self.returning else list(find_wrong_sums(root))
        status = "returned" if reasons else "accepted"
        verdict = {"id": f"{len(self.verdicts) + 1:08}", **said, "status": status, "reasons": reasons}
        note("taken", key=key, sha256=sha256, reference=reference, workbook=handed.xlsx is not None, signer=signed_by)
        note("verdict", verdict=verdict)
        self.references[key] = (sha256, reference)
        self.verdicts.append(verdict)
        return reference, False

    def _opened(self, xml: bytes) -> tuple[etree._Element, str]:
        """Return the report and the name of its signer; an empty name if it has the seal only."""
        signed_by = ""
        try:
            root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
            if len(root.findall(f"{{{DS}}}Signature")) == 2:
                certificate = find_document_signer(xml)
                if certificate is None:
                    raise SubmissionUnfit(["chữ ký không đúng"])
                signed_by = certificate.subject.rfc4514_string()
                root.remove(root[-1])  # the seal does not cover the signature
                xml = etree.tostring(root)
            sealed = root.tag == f"{NS}Report" and is_sealed(xml, self.hub)
        except etree.LxmlError:
            raise SubmissionUnfit(["không phải XML"]) from None
        if not sealed:
            raise SubmissionUnfit(["niêm phong không đúng"])
        period = root.find(f"{NS}Period")
        if period is None or period.get("ended") != "true":
            raise SubmissionUnfit(["kỳ báo cáo chưa kết thúc"])
        return root, signed_by


def read_report_keys(root: etree._Element) -> dict[str, str]:
    """Return what identifies a report: form, unit, period, revision."""
    form, total, period = (root.find(f"{NS}{tag}") for tag in ("Form", "Total", "Period"))
    assert form is not None
    assert total is not None
    assert period is not None
    return {
        "form": form.get("id", ""),
        "unit": total.get("unit", ""),
        "period": period.get("text", ""),
        "revision": root.get("revision", ""),
    }


def find_wrong_sums(root: etree._Element) -> list[str]:
    """Return the sums that are wrong: a total that is not the sum of its rows, a formula that its summands do not give."""
    rows = [_cells(row) for row in root.iterfind(f"{NS}Rows/{NS}Row")]
    total, wrong = _cells(root.find(f"{NS}Total")), []
    for column in root.iterfind(f"{NS}Columns/{NS}Column"):
        key = column.get("key", "")
        if key not in total:
            continue  # a time, which has no sum
        if sum(row[key] for row in rows) != total[key]:
            wrong.append(f"cột {key}: tổng cộng {total[key]} khác tổng các dòng")
        summands = [each.get("column", "") for each in column.iterfind(f"{NS}Summand")]
        if summands and any(row[key] != sum(row[each] for each in summands) for row in (*rows, total)):
            wrong.append(f"cột {key}: khác {' + '.join(summands)}")
    return wrong


def read_workbook_sha256(octets: bytes) -> str:
    """Return the hash of the evidence named in the workbook's properties; empty if it is not a workbook."""
    try:
        with zipfile.ZipFile(BytesIO(octets)) as book:
            properties = etree.fromstring(book.read("docProps/custom.xml"))
    except (zipfile.BadZipFile, KeyError, etree.LxmlError):
        return ""
    named = {each.get("name"): "".join(map(str, each.itertext())) for each in properties.iter(_PROPERTY)}
    return named.get("Evidence-SHA256", "")


def _cells(row: etree._Element | None) -> dict[str, int]:
    assert row is not None
    return {cell.get("column", ""): int(cell.text or "0") for cell in row.iterfind(f"{NS}Number")}


def _text(root: etree._Element, tag: str) -> str:
    found = root.find(f"{NS}{tag}")
    return "" if found is None else found.text or ""


def read_multipart(call: ServerCall) -> HandedReport:
    """Parse a multipart call. Raises SubmissionUnfit."""
    head = f"Content-Type: {call.headers.get('content-type', '')}\r\n\r\n".encode()
    form = message_from_bytes(head + call.body, policy=HTTP)
    if not form.is_multipart():
        raise SubmissionUnfit(["không phải multipart/form-data"])
    found = {str(part.get_param("name", header="content-disposition")): _octets(part) for part in form.iter_parts()}
    if "report" not in found:
        raise SubmissionUnfit(["thiếu report"])
    fields = {name: octets.decode() for name, octets in found.items() if name not in {"report", "workbook"}}
    return HandedReport(fields, found["report"], found.get("workbook"))


def _octets(part: Any) -> bytes:
    octets: bytes = part.get_payload(decode=True) or b""
    return octets


def make_counter(reporting: ReportingState, secret: str, office: list[PartnerServer]) -> Any:
    """Return the function that answers calls."""

    def answer(call: ServerCall, refuse: bool) -> ServerAnswer:
        if call.headers.get("authorization") != f"Bearer {secret}":
            return ServerAnswer.json({"error": "invalid credentials"}, 401)
        if call.method == "GET" and call.path == "/verdicts":
            after = call.query.get("after", "")
            return ServerAnswer.json({"verdicts": [each for each in reporting.verdicts if each["id"] > after][:20]})
        if call.method != "POST" or call.path != "/reports":
            return ServerAnswer.json({"error": "not found"}, 404)
        if refuse:
            return ServerAnswer.json({"errors": ["hệ thống không nhận báo cáo này"]}, 422)
        try:
            reference, repeated = reporting.take(read_multipart(call), office[0].note)
        except SubmissionUnfit as unfit:
            office[0].note("unfit", errors=unfit.args[0])
            return ServerAnswer.json({"errors": unfit.args[0]}, 422)
        return ServerAnswer.json(
            {"reference": reference, "status": "received", "duplicate": repeated}, 200 if repeated else 201
        )

    return answer


def judge_dropped_reports(reporting: ReportingState, drop: Path, note: Any) -> int:
    """Take the complete reports in `out` and write a verdict on each into `in`. Return their number."""
    (drop / "in").mkdir(exist_ok=True)
    count = 0
    for listed in sorted((drop / "out").glob("*.sha256")):
        files = {}
        for line in listed.read_text().splitlines():
            sha256, _, name = line.partition("  ")
            octets = (drop / "out" / name).read_bytes()
            if hashlib.sha256(octets).hexdigest() != sha256:
                note("broken", file=name)
                break
            files[name.rpartition(".")[2]] = octets
        else:
            root = etree.fromstring(files["xml"])
            before = len(reporting.verdicts)
            try:
                reporting.take(HandedReport(read_report_keys(root), files["xml"], files.get("xlsx")), note)
                new = reporting.verdicts[before:]
            except SubmissionUnfit as unfit:
                note("unfit", errors=unfit.args[0])
                new = [
                    {"id": f"u-{listed.stem}", **read_report_keys(root), "status": "returned", "reasons": unfit.args[0]}
                ]
            for verdict in new:
                reply = drop / "in" / f"{listed.stem}.json"
                partial = reply.with_name(reply.name + ".tmp")
                partial.write_text(json.dumps(verdict, ensure_ascii=False))
                partial.replace(reply)
                count += 1
    return count


def run_government_system(options: argparse.Namespace) -> None:
    """Run the system until the orders end."""
    notebook = Notebook(options.notebook)
    reporting = ReportingState(notebook, x509.load_pem_x509_certificate(options.hub_certificate.read_bytes()))
    reporting.reopen()
    office: list[PartnerServer] = []

    def obey(order: Mapping[str, Any]) -> Mapping[str, object]:
        match order.get("do"):
            case "return":
                reporting.returning.append(str(order["reason"]))
                return {"returning": len(reporting.returning)}
            case "look":
                return {"taken": judge_dropped_reports(reporting, options.drop, office[0].note)}
            case "known":
                return {"references": len(reporting.references), "verdicts": reporting.verdicts}
        return {"error": f"no such order: {order}"}

    secret = options.secret_file.read_text().strip()
    office.append(PartnerServer(notebook, make_counter(reporting, secret, office), obey))
    office[0].serve(options.port)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser("lienthong_demo.partners.govreport")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--hub-certificate", type=Path, required=True)
    parser.add_argument("--drop", type=Path)
    run_government_system(parser.parse_args())


if __name__ == "__main__":
    main()
