"""The service `work` that every province has: the messages of docs/reference/work.md, word for word, and the form `congviec`."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import attrs
import pytest
from lxml import etree
from zeep import Client, Settings
from zeep.transports import Transport

from hub import config
from hub.config.service_files import read_shipped_services
from hub.domain.errors import ConfigurationFault, Rejected
from hub.intake import grants
from hub.node.check import check_config
from hub.report.counting.counting import count_report, find_counted_facts
from hub.report.form.folder import read_form_folder
from hub.report.form.period import parse_period
from hub.services.defined import load_defined_contract
from hub.services.defined.reading import make_defined_service
from tests import homes
from tests.conftest import ROOT
from tests.services.test_defined_services import UNIT, make_town
from tests.wsdls import keeps_the_basic_profile

TELL, JUDGE = re.findall(r"```xml\n(.*?)```", (ROOT / "docs/reference/work.md").read_text("utf-8"), re.DOTALL)
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
NOVEMBER, DECEMBER, QUARTER = (parse_period(text) for text in ("2026-11", "2026-12", "2026-Q4"))
FORM = next(form for form in read_form_folder() if form.id == "congviec")
SERVICE = make_defined_service(read_shipped_services()["work"])


def item(code="V1", factor="1", assigned="2026-11-16", due="2026-11-18", more="", officer=""):
    """Return an item as TellWork tells it."""
    who = f"<Officer>{officer}</Officer>" if officer else ""
    until = f"<Due>{due}</Due>" if due else ""
    return (
        f"<Item><Code>{code}</Code><OrganId>{UNIT}</OrganId>{who}<Kind>bao-cao</Kind><Factor>{factor}</Factor>"
        f"<Assigned>{assigned}</Assigned>{until}{more}</Item>"
    )


def judged(code="V1", factor="1", more=""):
    """Return an item as JudgeWork judges it."""
    return f"<Item><Code>{code}</Code><OrganId>{UNIT}</OrganId><Factor>{factor}</Factor>{more}</Item>"


def read(*items, name="TellWork", at=AT, message="m-1"):
    """Return the facts of a message with these *items*."""
    content = f'<{name} xmlns="urn:lienthong:work:1"><OrganId>H55</OrganId>{"".join(items)}</{name}>'
    return list(SERVICE.read(content.encode(), at, message).facts)


def judge(*items, at=AT):
    return read(*items, name="JudgeWork", at=at, message="m-2")


def count(facts, period=DECEMBER, now=None, form=FORM):
    """Return the numbers of the unit's report that are not 0."""
    numbers = count_report(form, facts, period, now or period.end, [UNIT]).total.numbers
    return {key: number for key, number in numbers.items() if number}


def returned(number, day="2026-11-21"):
    return f'<Returned number="{number}"><Day>{day}</Day></Returned>'


EXCUSED = "<Excused><Day>2026-11-23</Day><ConfirmedBy>CB-01</ConfirmedBy></Excused>"
DONE_LATE = "<Done>2026-11-20</Done>"


def test_what_the_page_tells_is_counted_as_the_page_says():
    told = list(SERVICE.read(TELL.encode(), AT, "m-1").facts)
    told += SERVICE.read(JUDGE.encode(), AT, "m-2").facts
    by_name = {fact.milestone: fact for fact in told}
    assert {fact.key for fact in told} == {"NV-2026-0152"}
    assert by_name["assigned"].attributes == (("document", "152/QD-UBND"), ("kind", "bao-cao"), ("officer", "CB-07"))
    assert (by_name["assigned-converted"].amount, by_name["assigned"].due) == (150, date(2026, 11, 18))
    assert by_name["excused"].counterpart == "CB-01"
    assert count(told) == {
        "assigned": 1,
        "assigned_converted": 150,
        "total": 1,
        "total_converted": 150,
        "done": 1,
        "done_converted": 150,
        "returned": 1,
        "returned_converted": 150,
        "excused": 1,
    }


def test_an_excuse_takes_an_item_out_of_what_is_late_and_nothing_else():
    without = count(read(item(factor="1.5", more=DONE_LATE)))
    assert (without["late"], without["late_converted"]) == (1, 150)
    excused = count([*read(item(factor="1.5", more=DONE_LATE)), *judge(judged(factor="1.5", more=EXCUSED))])
    assert excused == {**{key: n for key, n in without.items() if not key.startswith("late")}, "excused": 1}


def test_an_open_item_is_overdue_until_it_is_done_extended_or_excused():
    def overdue(facts, now=datetime(2026, 11, 25, tzinfo=UTC)):
        found = count(facts, now=now)
        return found.get("overdue", 0), found.get("overdue_converted", 0)

    told = read(item(factor="0.75"))
    assert overdue(told) == (1, 75)
    assert overdue(told, now=datetime(2026, 11, 18, 8, tzinfo=UTC)) == (0, 0), "its due day is today"
    assert overdue([*told, *judge(judged(factor="0.75", more=EXCUSED))]) == (0, 0)
    extended = '<Extended number="1"><Day>2026-11-18</Day><Due>2026-12-30</Due></Extended>'
    assert overdue([*told, *judge(judged(factor="0.75", more=extended))]) == (0, 0)
    assert overdue(read(item(due=""))) == (0, 0), "without a due day nothing is late"


def test_of_two_extensions_the_later_one_holds():
    more = '<Extended number="1"><Day>2026-11-17</Day><Due>2026-11-19</Due></Extended>'
    told = read(item(more=DONE_LATE))
    assert count([*told, *judge(judged(more=more))])["late"] == 1
    more += '<Extended number="2"><Day>2026-11-19</Day><Due>2026-11-20</Due></Extended>'
    assert "late" not in count([*told, *judge(judged(more=more))])


def test_an_extension_after_the_end_does_not_make_it_early():
    extended = '<Extended number="1"><Day>2026-11-22</Day><Due>2026-12-30</Due></Extended>'
    assert count([*read(item(more=DONE_LATE)), *judge(judged(more=extended))])["late"] == 1


def test_no_unit_gives_itself_more_time():
    extended = '<Extended number="1"><Day>2026-11-18</Day><Due>2026-12-30</Due></Extended>'
    with pytest.raises(Rejected, match="Extended"):
        read(item(more=extended))


def test_an_item_never_loses_more_than_itself_by_being_returned():
    told = read(item(factor="2")) + judge(judged(factor="2", more="".join(map(returned, range(1, 8)))))
    found = count(told)
    assert (found["returned"], found["returned_converted"]) == (7, 800)
    assert len(find_counted_facts(FORM, "returned", told, DECEMBER, DECEMBER.end)) == 7


def test_a_conversion_factor_weighs_the_item_and_changes_no_count():
    one, heavy = count(read(item(more=DONE_LATE))), count(read(item(factor="2.25", more=DONE_LATE)))
    assert {key: number for key, number in heavy.items() if not key.endswith("converted")} == {
        key: number for key, number in one.items() if not key.endswith("converted")
    }
    assert {heavy[key] for key in heavy if key.endswith("converted")} == {225}


def test_what_was_told_again_counts_once_and_every_row_adds_up():
    report = count_report(
        FORM,
        [
            *read(item("V1", more=DONE_LATE)),
            *read(item("V2")),
            *judge(judged("V2", more="<Withdrawn><Day>2026-11-20</Day></Withdrawn>")),
        ],
        DECEMBER,
        DECEMBER.end,
        [UNIT],
    )
    numbers = report.total.numbers
    assert (numbers["total"], numbers["done"], numbers["withdrawn"], numbers["open"]) == (2, 1, 1, 0)
    assert report.findings == ()


def test_an_item_that_is_done_with_another_factor_is_a_finding():
    told = [fact for fact in read(item(factor="1")) if fact.milestone.startswith("assigned")]
    told += [fact for fact in read(item(factor="5", more=DONE_LATE)) if fact.milestone.startswith("done")]
    (finding,) = {each.check.says.en[:9] for each in count_report(FORM, told, DECEMBER, DECEMBER.end, [UNIT]).findings}
    assert finding == "Converted"


def test_what_is_done_before_it_is_assigned_counts_when_both_are_known():
    done = read(item(assigned="2026-11-20", more="<Done>2026-11-10</Done>"))
    november, december = count(done, NOVEMBER), count(done)
    assert november == {"done_unmatched": 1}
    assert (december["assigned"], december["done"]) == (1, 1)
    assert count(done, QUARTER)["done"] == 1


def test_what_stays_open_is_carried_over_and_done_later():
    told = read(item("V1", assigned="2026-10-20", due="2026-11-01"), item("V2", assigned="2026-11-12", more=DONE_LATE))
    assert (count(told, NOVEMBER)["open"], count(told, NOVEMBER)["overdue"]) == (2, 1)
    december = count(told)
    assert (december["carried_over"], december["done"], december["open"], december["overdue"]) == (2, 1, 1, 1)
    assert "assigned" not in december


def test_a_name_of_a_person_does_not_fit_into_an_officer():
    with pytest.raises(Rejected, match="contract-broken"):
        read(item(officer="Nguyễn Văn A"))
    assert read(item(officer="CB-07"))


@pytest.mark.parametrize("factor", ["0", "1.234", "1000", "-1", "một"])
def test_a_factor_that_is_none_is_refused_with_its_place(factor):
    with pytest.raises(Rejected) as refused:
        read(item(factor=factor))
    assert "Factor" in str(refused.value.problems)


@pytest.mark.parametrize(
    ("name", "item", "most"), [("TellWork", item, 2_000), ("JudgeWork", judged, 500)], ids=["tell", "judge"]
)
def test_a_message_has_a_bounded_number_of_items(name, item, most):
    with pytest.raises(Rejected, match="contract-broken"):
        read(*(item(code=f"V{number}") for number in range(most + 1)), name=name)


def test_an_item_tells_nine_returns_in_one_message():
    with pytest.raises(Rejected, match="contract-broken"):
        judge(judged(more="".join(map(returned, range(1, 11)))))
    assert len(judge(judged(more="".join(map(returned, range(1, 10)))))) == 13


# --- who may tell ---


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("work") / "tinh")
    assert check_config(home / "hub.toml", datetime.now(UTC)).mistakes == ()
    return config.read_config(home / "hub.toml")


def ask(tmp_path, made, content, **partner):
    town = make_town(tmp_path, made.path.parent, **partner)
    try:
        return town.ask(content, "work"), len(town.facts()), town
    finally:
        town.engine.dispose()


def test_a_units_own_system_tells_of_its_work_and_judges_nothing(tmp_path, made):
    own = TELL.replace("<OrganId>H55</OrganId>", f"<OrganId>{UNIT}</OrganId>")
    answer, facts, _ = ask(tmp_path, made, own)
    assert "<IsSuccess>true</IsSuccess>" in answer
    assert facts == 4
    answer, _, town = ask(tmp_path, made, JUDGE.replace(">H55<", f">{UNIT}<"))
    assert "call-not-granted" in answer
    assert {"work.TellWork"} == {each for each in town_grants(town) if each.startswith("work")}


def town_grants(town):
    config_ = town.live.config
    return grants.list_granted(config_.partners["sotttt"], config_)


def test_a_mission_system_that_is_named_judges_every_unit(tmp_path, made):
    words = {"units": ("H55.02",), "tells": True, "calls": ("work",)}
    with_head = JUDGE.replace("<OrganId>H55</OrganId>", "<OrganId>H55.02</OrganId>", 1)
    answer, facts, _ = ask(tmp_path, made, with_head, **words)
    assert "<IsSuccess>true</IsSuccess>" in answer, answer
    assert facts == 3


def test_another_units_work_is_none_of_its_business(tmp_path, made):
    answer, facts, _ = ask(tmp_path, made, TELL.replace(">H55.13<", ">H55.01<").replace(">H55<", f">{UNIT}<"))
    assert "sender-not-allowed" in answer
    assert facts == 0


def test_a_collected_message_of_such_a_service_needs_a_grant_by_name(made):
    partner = attrs.evolve(next(each for each in made.partners.values() if each.units), calls=None)
    assert grants.is_granted(partner, made, "work", "TellWork")
    assert not grants.is_granted(partner, made, "work")


GUIDE = (ROOT / "docs/howto/tell-work.md").read_text("utf-8")


def test_a_system_that_cannot_sign_tells_by_the_how_to_alone(tmp_path):
    """The partner's file and both envelopes are those of the page; curl sends them as they stand."""
    home = homes.begin(tmp_path / "tinh")
    (file,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    (home / "partners/sotttt.toml").write_text(file.replace("nhiemvu.crt", "sotttt.crt"), "utf-8")
    assert check_config(home / "hub.toml", datetime.now(UTC)).mistakes == ()
    said = config.read_config(home / "hub.toml").partners["sotttt"]
    words = {name: getattr(said, name) for name in ("units", "tells", "calls", "policy")}
    town = make_town(tmp_path, home, **words)
    answers = [
        town.put(envelope.encode(), town.who, "work").decode()
        for envelope in re.findall(r"```xml\n(.*?)```", GUIDE, re.DOTALL)
    ]
    numbers = town.report("congviec")
    town.engine.dispose()
    assert ["<IsSuccess>true</IsSuccess>" in each for each in answers] == [True, True], answers
    assert (numbers["done_converted"], numbers["returned_converted"]) == (150, 150)
    assert (numbers["excused"], numbers["late"]) == (1, 0)


def test_a_stock_client_reads_its_contract_and_writes_what_the_schema_accepts():
    contract, address = load_defined_contract(read_shipped_services()["work"]), "https://127.0.0.1:8443/soap/work"
    keeps_the_basic_profile(contract, "work", {"TellWork", "JudgeWork"})
    pages = {f"{address}?wsdl": contract.wsdl(address)}
    pages |= {f"{address}?xsd={name}": contract.xsd(name, address) for name in contract.schema_names}

    class Pages(Transport):
        def load(self, url):
            return pages[url]

    client = Client(f"{address}?wsdl", transport=Pages(), settings=Settings(strict=True))
    told = {
        "Code": "V1",
        "OrganId": UNIT,
        "Kind": "bao-cao",
        "Factor": Decimal("1.5"),
        "Assigned": date(2026, 11, 16),
        "Done": date(2026, 11, 20),
    }
    later = {name: told[name] for name in ("Code", "OrganId", "Factor")}
    later["Extended"] = [{"number": "1", "Day": date(2026, 11, 17), "Due": date(2026, 11, 20)}]
    milestones = set()
    for name, one in (("TellWork", told), ("JudgeWork", later)):
        written = client.create_message(client.service, name, OrganId="H55", Item=[one])
        (call,) = written.iter(f"{{urn:lienthong:work:1}}{name}")
        milestones |= {fact.milestone for fact in SERVICE.read(etree.tostring(call), AT, name).facts}
    assert milestones == {"assigned", "assigned-converted", "extended", "done", "done-converted"}


# --- on and off ---


def test_it_can_be_switched_off_and_what_it_brought_is_still_counted(tmp_path):
    home = homes.begin(tmp_path / "tinh")
    file = home / "hub.toml"
    text = file.read_text("utf-8")
    file.write_text(f'{text}\n[services]\noff = ["work"]\n', "utf-8")
    off = config.read_config(file)
    assert "work" not in off.services
    assert "work" in {each.service for each in off.reports.countable}
    file.write_text(f'{text}\n[services]\noff = ["werk"]\n', "utf-8")
    with pytest.raises(ConfigurationFault, match="there is no service werk"):
        config.read_config(file)


def test_every_province_has_it_and_check_names_only_its_own_services(made):
    assert made.services["work"].shipped
    done = homes.typing(made.path.parent)("check", "--json")
    assert '"service"' not in done.stdout
