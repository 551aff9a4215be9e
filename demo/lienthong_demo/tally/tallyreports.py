"""Counts submitted and published reports from the files of the reporting system and the web portal.

Pure. Trusts neither side.

A report is identified by form, unit, period and revision. Each result counts once, however often its file reports it.
"""

from collections.abc import Iterable, Iterator, Mapping

from lienthong_demo.tally.tally import Line, TalliedResult


def tally_reporting_system(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the reporting system's file (`lienthong_demo.partners.govreport`): submissions and their verdicts."""
    for line in lines:
        if line["what"] == "taken":
            form, unit, period, revision = str(line["key"]).split("/")
            yield TalliedResult(unit, "reports", (form, unit, period, revision), "submitted")
        elif line["what"] == "verdict":
            said = line["verdict"]
            key = tuple(str(said[word]) for word in ("form", "unit", "period", "revision"))
            yield TalliedResult(said["unit"], "reports", key, said["status"])


def compare_journal(lines: Iterable[Line], messages: Iterable[Line]) -> Iterator[str]:
    """Yield the submitted reports that are missing among the journal's accepted *messages*, or have other bytes there."""
    held = {row["message_id"]: row["sha256"] for row in messages if row["state"] == "accepted"}
    for line in lines:
        if line["what"] != "taken":
            continue
        name = f"reports/{line['key']}"
        found = held.get(f"{name}/signed", held.get(name))  # a report signed by an official replaces the unsigned one
        if found is None:
            yield f"{line['key']}: handed in, not in the journal"
        elif found != line["sha256"]:
            yield f"{line['key']}: the journal has other bytes than were handed in"


def tally_web_portal(lines: Iterable[Line]) -> Mapping[str, str]:
    """Return the SHA-256 of the last version of each page in the web portal's file (`lienthong_demo.partners.webportal`)."""
    newest: dict[str, tuple[int, str]] = {}
    for line in lines:
        if line["what"] == "pushed":
            said = (int(line["revision"]), str(line["sha256"]))
            if said[0] >= newest.get(line["path"], said)[0]:
                newest[line["path"]] = said
    return {path: sha256 for path, (_, sha256) in newest.items()}


def compare_pages(portal: Mapping[str, str], served: Mapping[str, str]) -> Iterator[str]:
    """Yield the pages that differ between the *portal* and what the hub *served* in public; both map paths to SHA-256."""
    for path in sorted(portal.keys() | served.keys()):
        if path not in portal:
            yield f"{path}: published, the portal does not have it"
        elif path not in served:
            yield f"{path}: on the portal, the hub does not serve it"
        elif portal[path] != served[path]:
            yield f"{path}: the portal has another page than the hub serves"
