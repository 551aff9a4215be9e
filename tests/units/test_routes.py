"""Who may send for a unit, and who receives for it (design.md «Routing»)."""

from datetime import date

import pytest

from hub.domain.errors import Rejected
from hub.domain.model import DeliveryState, Problem, Receive, Unit
from hub.units.deeds import Deed, Estate
from hub.units.routing import RoutedPartner, Routes
from hub.units.unit_index import UnitIndex
from tests.province import POSTS, ROUTES, UNITS

TODAY = date(2026, 11, 24)


def refused(*codes, partner="sotttt"):
    with pytest.raises(Rejected) as caught:
        ROUTES.route_all(partner, codes, TODAY)
    return [(problem.code, str(problem.detail).split(" ")[0]) for problem in caught.value.problems]


def to(code, partner="sotttt"):
    (route,) = ROUTES.route_all(partner, [code], TODAY)
    return route.recipient, route.partner, route.state


def test_a_unit_of_the_province_gets_it_through_its_own_system():
    assert to("H55.01") == ("H55.01", "vpub", DeliveryState.WAITING)
    assert to("H55.13") == ("H55.13", "sotttt", DeliveryState.HELD)


def test_a_unit_is_under_itself_and_under_each_unit_above_it():
    assert ROUTES.is_under("H55.13.1", "H55.13.1")
    assert ROUTES.is_under("H55.13.1", "H55")
    assert ROUTES.is_under("000.00.13.H55", "H55")
    assert ROUTES.is_under("H55.13.1", "000.00.13.H55")
    assert not ROUTES.is_under("H55.13", "H55.13.1")
    assert not ROUTES.is_under("H55.99", "H55")
    circle = Routes.of([Unit("A", "A", "B"), Unit("B", "B", "A")], (), province="H55", upstream="vpcp")
    assert not circle.is_under("A", "C")


def test_an_alias_is_the_unit_it_names():
    assert to("000.00.13.H55") == ("H55.13", "sotttt", DeliveryState.HELD)


def test_a_unit_without_a_system_gets_it_through_its_nearest_ancestor_that_has_one():
    (route,) = ROUTES.route_all("vpub", ["H55.13.1"], TODAY)
    assert (route.recipient, route.partner, route.via) == ("H55.13.1", "sotttt", "H55.13")


def test_everything_outside_the_province_goes_up():
    for code in ("000.00.00.G22", "H41.2", "28.22.H17", "vxp.saas.03", "H550", "H5"):
        assert to(code) == (code, "vpcp", DeliveryState.WAITING)


def test_a_code_of_the_province_that_no_unit_has_is_refused_by_name():
    assert refused("H55.99") == [("unit-unknown", "H55.99")]
    assert refused("000.00.77.H55") == [("unit-unknown", "000.00.77.H55")]


def test_an_inactive_unit_is_refused_by_its_date():
    assert refused("H55.20") == [("unit-inactive", "H55.20")]
    assert ROUTES.route_all("any", ["H55.01"], TODAY)
    with pytest.raises(Rejected, match="unit-without-system"):
        ROUTES.route("H55.20", date(2026, 6, 30))


def test_a_unit_whose_ancestors_have_no_system_is_refused():
    assert refused("H55.30") == [("unit-without-system", "H55.30")]


def test_one_recipient_that_cannot_be_served_refuses_the_message_and_each_is_named():
    assert refused("H55.01", "H55.99", "H55.30") == [("unit-unknown", "H55.99"), ("unit-without-system", "H55.30")]


def test_what_the_axis_sends_for_another_province_is_no_duty_of_ours():
    (route,) = ROUTES.route_all("vpcp", ["H41", "H55.01"], TODAY)
    assert route.recipient == "H55.01"
    assert refused("H41", "G22", partner="vpcp") == [("not-ours", "H41,")]


def test_nothing_goes_back_to_the_axis_that_came_from_it():
    for route in ROUTES.route_all("vpcp", ["G22", "H55.01", "H55.13"], TODAY):
        assert route.partner != "vpcp"


def test_one_unit_named_twice_by_code_and_alias_gets_one_delivery():
    assert len(ROUTES.route_all("vpub", ["H55.13", "000.00.13.H55"], TODAY)) == 1


def test_a_partner_sends_for_its_units_the_axis_for_strangers_and_the_star_for_all():
    assert ROUTES.may_send("sotttt", "H55.13")
    assert ROUTES.may_send("sotttt", "000.00.13.H55")
    assert not ROUTES.may_send("sotttt", "H55.13.1")
    assert not ROUTES.may_send("sotttt", "H55.01")
    assert ROUTES.may_send("vpcp", "000.00.00.G22")
    assert not ROUTES.may_send("vpcp", "H55.01")
    assert not ROUTES.may_send("vpcp", "H55.99")
    assert ROUTES.may_send("any", "H55.01")
    assert ROUTES.may_send("any", "000.00.00.G22")
    assert not ROUTES.may_send("stranger", "H55.01")


def test_the_star_lets_a_partner_send_for_all_and_receive_for_none():
    routes = Routes.of(UNITS, (*POSTS, RoutedPartner("all", ("*",), Receive.FETCH)), province="H55", upstream="vpcp")
    assert not any(routes.receives("all", unit.code) for unit in UNITS)


def test_a_partner_stands_for_its_units_the_axis_for_strangers_and_the_star_for_none():
    assert ROUTES.stands_for("sotttt", "000.00.13.H55")
    assert not ROUTES.stands_for("sotttt", "H55.01")
    assert ROUTES.stands_for("vpcp", "000.00.00.G22")
    assert not ROUTES.stands_for("vpcp", "H55.01")
    assert not ROUTES.stands_for("any", "H55.01")
    assert not ROUTES.stands_for("any", "000.00.00.G22")


def test_who_may_tell_of_any_unit_may_send_for_none():
    routes = Routes.of(
        UNITS, (*POSTS, RoutedPartner("soc", (), Receive.NONE, tells=True)), province="H55", upstream="vpcp"
    )
    for code in ("H55.01", "000.00.13.H55", "000.00.00.G22"):
        assert routes.find_send_problems("soc", code, telling=True) == ()
        assert not routes.may_send("soc", code)
        assert routes.find_send_problems("soc", code)
        assert routes.find_send_problems("sotttt", "H55.01", telling=True)
    assert [problem.code for problem in routes.find_send_problems("soc", "H55.99", telling=True)] == ["unit-unknown"]


def test_a_code_is_known_by_the_registry_by_a_partners_file_or_by_its_shape():
    routes = Routes.of(UNITS, (*POSTS, RoutedPartner("far", ("H37",), Receive.NONE)), province="H55", upstream="vpcp")
    assert all(map(routes.knows, ("H55.01", "000.00.13.H55", "H37", "H55.99", "000.00.99.H55")))
    assert not routes.knows("000.00.00.Z01")


def test_without_a_partner_above_nothing_can_go_up():
    routes = Routes.of(UNITS, POSTS[:2], province="H55", upstream="vpcp")
    with pytest.raises(Rejected, match="unit-without-system"):
        routes.route("G22", TODAY)


def test_parents_in_a_circle_do_not_hang_the_hub():
    circle = (Unit("H55.1", "a", "H55.2"), Unit("H55.2", "b", "H55.1"))
    with pytest.raises(Rejected, match="unit-without-system"):
        Routes.of(circle, POSTS, province="H55", upstream="vpcp").route("H55.1", TODAY)


# --- successors, and agencies of the national list ------------------------------------------------------------------

JULY = date(2025, 7, 1)
REFORMED = (
    Unit("H55", "Tỉnh"),
    Unit("H55.1", "Xã A", "H55", until=JULY, aliases=("000.00.01.H55",), successors=("H55.3",)),
    Unit("H55.2", "Xã B", "H55", until=JULY, successors=("H55.3", "H55.4")),
    Unit("H55.3", "Xã AB", "H55", since=JULY, until=date(2026, 1, 1), successors=("H55.5",)),
    Unit("H55.4", "Xã C", "H55", since=JULY),
    Unit("H55.5", "Xã ABD", "H55", since=date(2026, 1, 1)),
    Unit("G22", "Văn phòng Chính phủ", aliases=("000.00.00.G22",), mark="national"),
    Unit("B1", "Bệnh viện trung ương", "H55", mark="national"),
)
ALL = Routes.of(REFORMED, (*POSTS, RoutedPartner("office", ("H55",), Receive.FETCH)), province="H55", upstream="vpcp")


def inactive(code: str, on: date) -> str:
    with pytest.raises(Rejected) as caught:
        ALL.route(code, on)
    (problem,) = caught.value.problems
    assert problem.code == "unit-inactive"
    return str(problem.detail)


def test_what_is_for_a_unit_that_ended_goes_to_its_single_successor_for_the_days_of_grace():
    assert ALL.route("H55.1", date(2025, 6, 30)).recipient == "H55.1"
    assert ALL.route("H55.1", JULY).recipient == "H55.3"
    assert ALL.route("000.00.01.H55", date(2025, 9, 28)).recipient == "H55.3"
    assert inactive("000.00.01.H55", date(2025, 9, 29)) == "000.00.01.H55 (… – 2025-07-01) → H55.3"


def test_a_status_about_what_it_sent_goes_there_without_end():
    assert ALL.route("H55.1", date(2025, 12, 1), answering=True).recipient == "H55.3"
    assert ALL.route("H55.1", date(2030, 1, 1), answering=True).recipient == "H55.5"


def test_a_successor_that_ended_too_gives_its_own():
    assert inactive("H55.1", date(2026, 2, 1)).endswith("→ H55.5")
    assert ALL.route("H55.3", date(2026, 2, 1)).recipient == "H55.5"


def test_a_split_unit_names_all_its_successors_and_is_routed_to_none():
    assert inactive("H55.2", JULY).endswith("→ H55.3, H55.4")
    assert inactive("H55.2", date(2026, 2, 1)).endswith("→ H55.5, H55.4")


def test_a_split_unit_is_routed_to_the_successor_that_the_deed_calls_the_main_one():
    deeds = [Deed("H55.2", "H55.4", main=True)]
    posts = (*POSTS, RoutedPartner("office", ("H55",), Receive.FETCH))
    main = Routes.of(UnitIndex.of(REFORMED, JULY, deeds), posts, province="H55", upstream="vpcp")
    assert main.route("H55.2", JULY).recipient == "H55.4"


def test_the_code_of_a_unit_that_ended_may_send_for_the_days_of_grace_and_then_hears_who_succeeds():
    assert ALL.find_end_problem("H55.1", date(2025, 6, 30)) is None
    assert ALL.find_end_problem("000.00.01.H55", date(2025, 9, 28)) is None
    late = Problem("unit-inactive", "H55.1 (… – 2025-07-01) → H55.3")
    assert ALL.find_end_problem("H55.1", date(2025, 9, 29)) == late
    split = Problem("unit-inactive", "H55.2 (… – 2025-07-01) → H55.3, H55.4")
    assert ALL.find_end_problem("H55.2", JULY) == split
    assert ALL.find_end_problem("G22", JULY) is None


def test_a_unit_that_ended_without_a_successor_may_send_what_is_left_for_the_days_of_grace():
    gone = Routes.of((Unit("H55.1", "a", until=JULY),), POSTS, province="H55", upstream="vpcp")
    assert gone.find_end_problem("H55.1", JULY) is None
    assert gone.find_end_problem("H55.1", date(2025, 9, 29)) == Problem("unit-inactive", "H55.1 (… – 2025-07-01)")


def test_a_unit_that_has_not_begun_names_no_successor():
    assert inactive("H55.3", date(2025, 1, 1)) == "H55.3 (2025-07-01 – 2026-01-01)"


def test_successors_in_a_circle_do_not_hang_the_hub():
    circle = (
        Unit("H55.1", "a", until=JULY, successors=("H55.2",)),
        Unit("H55.2", "b", until=JULY, successors=("H55.1",)),
    )
    routes = Routes.of(circle, POSTS, province="H55", upstream="vpcp")
    assert routes.successors("H55.1", TODAY) == ()


def test_an_agency_of_the_national_list_goes_up_even_below_a_unit_of_ours():
    for code in ("G22", "000.00.00.G22", "B1"):
        assert ALL.outside(code)
        assert ALL.route(code, TODAY).partner == "vpcp"
        assert ALL.may_send("vpcp", code)
    assert ALL.route("000.00.00.G22", TODAY).recipient == "G22"


NEIGHBOURS = Routes.of(
    (
        *REFORMED,
        Unit("H37", "Tỉnh Lạng Sơn", aliases=("000.00.00.H37",), mark="national"),
        Unit("H37.1", "Sở A", "H37", mark="national"),
    ),
    (
        *POSTS,
        RoutedPartner("office", ("H55",), Receive.FETCH),
        RoutedPartner("langson", ("H37",), Receive.PUSH),
        RoutedPartner("both", ("H55.4", "G22"), Receive.PUSH),
        RoutedPartner("bureau", ("H37.1",), Receive.NONE),
    ),
    province="H55",
    upstream="vpcp",
)


def test_an_agency_outside_goes_to_the_hub_that_a_partner_has_for_it_and_stays_outside():
    for code in ("H37", "000.00.00.H37", "H37.1"):
        route = NEIGHBOURS.route(code, TODAY)
        assert (route.partner, route.via, route.state) == ("langson", "H37", DeliveryState.WAITING)
        assert NEIGHBOURS.outside(code)
        assert NEIGHBOURS.receives("langson", code)
    assert NEIGHBOURS.route("H37.2", TODAY).partner == "vpcp"  # the registry does not hold it
    assert NEIGHBOURS.route("B1", TODAY).partner == "vpcp"  # below a unit of ours


def test_the_hub_of_another_province_speaks_for_its_own_and_the_axis_for_all_outside():
    assert NEIGHBOURS.may_send("langson", "000.00.00.H37")
    assert not NEIGHBOURS.may_send("langson", "G22")
    assert not NEIGHBOURS.may_send("langson", "H55.4")
    assert NEIGHBOURS.may_send("vpcp", "H37")


def test_what_it_sends_to_others_outside_as_well_is_no_duty_of_ours():
    (route,) = NEIGHBOURS.route_all("langson", ["H37.1", "G22", "H55.5", "H41"], TODAY)
    assert route.recipient == "H55.5"
    with pytest.raises(Rejected, match="not-ours"):
        NEIGHBOURS.route_all("langson", ["H37.1", "H41"], TODAY)
    (route,) = NEIGHBOURS.route_all("bureau", ["G22"], TODAY)  # who only sends is nobody's hub
    assert route.partner == "both"
    assert {route.partner for route in NEIGHBOURS.route_all("both", ["H37.1", "H55.5"], TODAY)} == {"langson", "office"}


@pytest.mark.parametrize(
    ("partner", "code", "problems"),
    [
        ("sotttt", "H55.13", []),
        ("sotttt", "000.00.13.H55", []),
        ("any", "H55.01", []),
        ("vpcp", "A09", []),
        ("sotttt", "H55.13.1", ["sender-not-allowed"]),
        ("sotttt", "H55.01", ["sender-not-allowed", "not-yours"]),
        ("vpcp", "H55.13", ["sender-not-allowed", "not-yours"]),
        ("sotttt", "H55.99", ["unit-unknown"]),
        ("any", "H55.99", ["unit-unknown"]),
    ],
)
def test_permission_says_why_a_partner_may_not_send_for_a_unit(partner, code, problems):
    assert [problem.code for problem in ROUTES.find_send_problems(partner, code)] == problems


# --- the partners of units that have ended ---------------------------------------------------------------------------

VILLAGES = (
    Unit("H55", "Tỉnh"),
    Unit("H55.1", "Xã A", "H55", until=JULY, successors=("H55.3",)),
    Unit("H55.2", "Xã B", "H55", until=JULY, successors=("H55.3",)),
    Unit("H55.3", "Phường AB", "H55", since=JULY),
)


def served(on, *posts, deeds=()):
    """Return the partners that may send for the successor, and the one that receives for it."""
    routes = Routes.of(UnitIndex.of(VILLAGES, on, deeds), posts, province="H55", upstream="vpcp")
    codes = [post.code for post in posts]
    receiving = [code for code in codes if routes.receives(code, "H55.3")]
    return [code for code in codes if routes.stands_for(code, "H55.3")], receiving


A, B = (RoutedPartner(code, (unit,), Receive.FETCH) for code, unit in (("a", "H55.1"), ("b", "H55.2")))
OWN, PROVINCE = RoutedPartner("ab", ("H55.3",), Receive.FETCH), RoutedPartner("vpub", ("H55",), Receive.PUSH)
HANDED = [Deed(unit, "H55.3", frozenset(Estate)) for unit in ("H55.1", "H55.2")]


def test_a_partner_of_the_old_unit_speaks_for_a_successor_for_which_nobody_else_does():
    assert served(date(2025, 6, 30), A) == ([], [])
    assert served(JULY, A) == (["a"], ["a"])


def test_it_does_not_where_the_successor_has_a_system_of_its_own_or_one_above_it():
    assert served(JULY, A, OWN) == (["ab"], ["ab"])
    assert served(JULY, A, PROVINCE) == ([], ["vpub"])


def test_it_does_where_the_deed_hands_over_the_partners():
    assert served(JULY, A, OWN, deeds=HANDED) == (["a", "ab"], ["ab"])
    assert served(JULY, A, PROVINCE, deeds=HANDED) == (["a"], ["a"])


def test_of_the_partners_of_two_old_units_both_send_and_none_receives():
    assert served(JULY, A, B) == (["a", "b"], [])
    assert served(JULY, A, B, PROVINCE, deeds=HANDED) == (["a", "b"], ["vpub"])
