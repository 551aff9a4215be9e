"""What the files of who takes reports say, as results: each once, whatever is told twice, and what is not as the hub has it."""

from lienthong_demo.tally.tally import TalliedResult
from lienthong_demo.tally.tallyreports import compare_journal, compare_pages, tally_reporting_system, tally_web_portal

KEY = ("edoc", "H55.13", "2026-11", "1")


def taken(key=KEY, sha256="aa"):
    return {"what": "taken", "key": "/".join(key), "sha256": sha256, "reference": "BC-000001", "workbook": True}


def verdict(status, revision="1"):
    said = {"form": "edoc", "unit": "H55.13", "period": "2026-11", "revision": revision}
    return {"what": "verdict", "verdict": {"id": "00000001", **said, "status": status, "reasons": []}}


def pushed(path, sha256, revision=1):
    return {"what": "pushed", "path": path, "sha256": sha256, "revision": revision, "first": True}


def row(sha256="aa", state="accepted"):
    return {"partner": "hub", "message_id": "reports/edoc/H55.13/2026-11/1", "state": state, "sha256": sha256}


def test_a_report_that_was_taken_is_submitted_and_its_verdict_another_result():
    second = (*KEY[:3], "2")
    lines = [taken(), verdict("returned"), {"what": "repeated", "key": "x"}, taken(second), verdict("accepted", "2")]
    assert list(tally_reporting_system(lines)) == [
        TalliedResult("H55.13", "reports", KEY, "submitted"),
        TalliedResult("H55.13", "reports", KEY, "returned"),
        TalliedResult("H55.13", "reports", second, "submitted"),
        TalliedResult("H55.13", "reports", second, "accepted"),
    ]


def test_what_the_reporting_system_found_unfit_is_no_result():
    assert not list(tally_reporting_system([{"what": "unfit", "errors": ["niêm phong không đúng"]}]))


def test_a_report_that_was_handed_in_stands_in_the_journal_in_the_same_bytes():
    assert not list(compare_journal([taken(), verdict("accepted")], [row()]))
    assert list(compare_journal([taken()], [row("bb")])) == [
        "edoc/H55.13/2026-11/1: the journal has other bytes than were handed in"
    ]
    assert list(compare_journal([taken()], [row(state="refused")])) == [
        "edoc/H55.13/2026-11/1: handed in, not in the journal"
    ]


def test_the_portal_holds_the_newest_revision_of_each_page():
    lines = [pushed("/a", "1"), pushed("/b", "2"), pushed("/a", "3", 2), pushed("/a", "4", 1), {"what": "pulled"}]
    assert tally_web_portal(lines) == {"/a": "3", "/b": "2"}


def test_a_page_that_is_missing_or_another_is_told_on_either_side():
    assert not list(compare_pages({"/a": "1"}, {"/a": "1"}))
    assert list(compare_pages({"/a": "1", "/c": "1"}, {"/a": "2", "/b": "1"})) == [
        "/a: the portal has another page than the hub serves",
        "/b: published, the portal does not have it",
        "/c: on the portal, the hub does not serve it",
    ]
