"""Checks an evidence file as somebody would who has docs/reference/evidence.md, Python's own library and xmlsec1: nothing of the hub.

Says what is wrong in words of its own; what it cannot know (the rules of forms) it leaves out.
"""

import hashlib
import io
import json
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

E, R = "{urn:lienthong:evidence:1}", "{urn:lienthong:report:1}"


def has_xmlsec1() -> bool:
    """Tell whether xmlsec1 is there."""
    try:
        subprocess.run(["xmlsec1", "--version"], capture_output=True, check=True)
    except FileNotFoundError:
        return False
    return True


def wrong(file: Path, ca: Path, place: Path) -> list[str]:
    """Return what is wrong with *file*, by the CA in PEM at *ca*; *place* is a folder to work in."""
    return wrong_of(file.read_bytes(), ca, place)


def wrong_of(content: bytes, ca: Path, place: Path) -> list[str]:
    """Return what is wrong with the evidence file *content*."""
    found: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:
                return ["a member is damaged"]
            names = archive.namelist()
            octets = {name: archive.read(name) for name in names}
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()) or len(set(names)) != len(
                names
            ):
                return ["something is compressed, or there twice"]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return ["no ZIP"]
    if names[:1] != ["mimetype"] or octets["mimetype"] != b"application/vnd.lienthong.evidence+zip":
        return ["no evidence file"]
    try:
        found += [f"{name}: the seal" for name in ("manifest.xml", "report.xml") if not sealed(octets[name], ca, place)]
        manifest, report = ET.fromstring(octets["manifest.xml"]), ET.fromstring(octets["report.xml"])
        found += members(manifest, octets)
        found += facts(report, octets)
        form = json.loads(octets["form.json"])
        if any(column["taken"] for column in form["columns"]):
            return found + through(form, report, octets, ca, place)
        found += cells(report, octets)
        found += messages(octets, ca, place)
        found += events(octets)
    except (KeyError, ValueError, TypeError, IndexError, ET.ParseError, zipfile.BadZipFile) as error:
        found.append(f"not by the page: {error!r}")
    return found


def sealed(content: bytes, ca: Path, place: Path) -> bool:
    path = place / "sealed.xml"
    path.write_bytes(content)
    words = (
        "--verify",
        "--trusted-pem",
        str(ca),
        "--enabled-key-data",
        "x509",
        "--verification-time",
        "2026-11-16 12:00:00",
    )
    return subprocess.run(["xmlsec1", *words, str(path)], capture_output=True, check=False).returncode == 0


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def members(manifest: ET.Element, octets: dict[str, bytes]) -> list[str]:
    listed = {each.attrib["name"]: each.attrib for each in manifest.iter(f"{E}Member")}
    there = {name for name in octets if name != "manifest.xml" and not name.startswith("octets/")}
    found = [f"{name}: listed or there, not both" for name in there ^ set(listed)]
    hashes = {name: (sha256(octets[name]), str(len(octets[name]))) for name in there}
    both = there & set(listed)
    return found + [
        f"{name}: its hash" for name in both if (listed[name]["sha256"], listed[name]["size"]) != hashes[name]
    ]


def lines(octets: dict[str, bytes], name: str) -> list[bytes]:
    return octets[name].splitlines(keepends=True)


def facts(report: ET.Element, octets: dict[str, bytes]) -> list[str]:
    found = []
    evidence = report.find(f"{R}Evidence")
    assert evidence is not None
    if evidence.text != sha256(octets["rows.jsonl"]):
        found.append("rows.jsonl: not what the report seals")
    rows = [json.loads(line) for line in lines(octets, "rows.jsonl")]
    many = 0
    for place, (unit, digest) in enumerate(rows, 1):
        name = f"facts/{place:06}.jsonl"
        if sha256(octets[name]) != digest or any(json.loads(line)[0] != unit for line in lines(octets, name)):
            found.append(f"{name}: not what its row says")
        many += len(lines(octets, name))
    if evidence.attrib["facts"] != str(many):
        found.append("another number of facts")
    return found


def cells(report: ET.Element, octets: dict[str, bytes]) -> list[str]:
    """Add the amounts of the facts listed up, and the formulas."""
    found = []
    columns = report.findall(f"{R}Columns/{R}Column")
    for row in [*report.findall(f"{R}Rows/{R}Row"), report.find(f"{R}Total")]:
        assert row is not None
        said = {cell.attrib["column"]: cell.text or "" for cell in row if "column" in cell.attrib}
        for column in columns:
            key, kind = column.attrib["key"], column.attrib["kind"]
            if kind in ("ratio", "score", "taken"):
                continue
            if kind == "formula":
                counted = str(sum(int(said[each.attrib["column"]]) for each in column.findall(f"{R}Summand")))
            else:
                taken = [json.loads(line) for line in lines(octets, f"columns/{key}.jsonl")]
                own = [fact for fact in taken if row.tag == f"{R}Total" or fact[0] == row.attrib["unit"]]
                at = max((fact[4] for fact in own), default="").replace("+00:00", "Z")
                counted = at if kind == "time" else str(sum(fact[13] for fact in own))
            if said[key] != counted:
                found.append(f"{row.attrib['unit']} {key}: {said[key]}, and the facts give {counted}")
    return found


def through(form: dict[str, Any], report: ET.Element, octets: dict[str, bytes], ca: Path, place: Path) -> list[str]:
    """Compare each cell that is taken with that of the base inside, and check each base as a file of its own."""
    found, numbers = [], dict[tuple[str, str, str], str]()
    for base in sorted({column["taken"][0] for column in form["columns"] if column["taken"]}):
        content = octets[f"bases/{base}.zip"]
        found += [f"{base}: {each}" for each in wrong_of(content, ca, place)]
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            theirs = ET.fromstring(archive.read("report.xml"))
        if names(theirs) != (base, *names(report)[1:]):
            found.append(f"{base}: the evidence of another report, {names(theirs)}")
        for row in theirs.findall(f"{R}Rows/{R}Row"):
            cells_of = {cell.attrib["column"]: cell.text or "" for cell in row if "column" in cell.attrib}
            numbers |= {(base, row.attrib["unit"], key): text for key, text in cells_of.items()}
    for row in report.findall(f"{R}Rows/{R}Row"):
        said = {cell.attrib["column"]: cell.text or "" for cell in row if "column" in cell.attrib}
        for column in form["columns"]:
            if column["taken"]:
                base, key = column["taken"]
                counted = numbers[base, row.attrib["unit"], key]
                if said[column["key"]] != counted:
                    found.append(f"{row.attrib['unit']} {column['key']}: {said[column['key']]}, {base} has {counted}")
    return found


def names(report: ET.Element) -> tuple[str, str, str]:
    """Return the form, the unit and the period of a report."""
    form, period, total = (report.find(f"{R}{name}") for name in ("Form", "Period", "Total"))
    assert form is not None
    assert period is not None
    assert total is not None
    return form.attrib["id"], total.attrib["unit"], period.attrib["text"]


def messages(octets: dict[str, bytes], ca: Path, place: Path) -> list[str]:
    found = []
    for line in lines(octets, "messages.jsonl"):
        said = json.loads(line)
        if said["octets"] == "here":
            content = octets[f"octets/{said['sha256']}"]
            if sha256(content) != said["sha256"] or len(content) != said["size"]:
                found.append(f"octets of {said['id']}")
        if said["receipt"]:
            receipt = {each.tag.rpartition("}")[2]: each.text for each in ET.fromstring(said["receipt"])}
            if (receipt["DocumentId"], receipt["Sha256"]) != (said["id"], said["sha256"]):
                found.append(f"receipt of {said['id']}")
    if not lines(octets, "messages.jsonl"):
        return found
    first = json.loads(
        lines(octets, "messages.jsonl")[0]
    )  # xmlsec1 is a program: one receipt shows that it can be done
    if first["receipt"] and not sealed(first["receipt"].encode(), ca, place):
        found.append(f"receipt of {first['id']}: the seal")
    return found


def events(octets: dict[str, bytes]) -> list[str]:
    found, told = [], set()
    for line in lines(octets, "events.jsonl"):
        said = json.loads(line)
        if said["previous"] and sha256(f"{said['previous']}\n{said['text']}".encode()) != said["hash"]:
            found.append(f"event {said['number']}")
        event = json.loads(said["text"])
        if event["event"] == "fact-recorded":
            told.add((event["unit"], event["service"], event["key"], event["milestone"], event["message"]))
    for name in octets:
        if name.startswith(("facts/", "beside/")):
            for line in lines(octets, name):
                fact = json.loads(line)
                if (*fact[:4], fact[5]) not in told:
                    found.append(f"{name}: a fact that no event tells of")
    return found
