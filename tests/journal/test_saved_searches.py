"""Searches that users saved, on each database."""

from hub.operations.accounts import saved_searches
from hub.operations.accounts.saved_searches import SavedSearch
from tests.province import NOW


def test_a_saved_search_is_replaced_by_its_name_and_seen_by_its_user_alone(tx):
    assert saved_searches.save_search(tx, "an", SavedSearch("báo cáo", "q=1"), NOW)
    assert saved_searches.save_search(tx, "an", SavedSearch("báo cáo", "q=2"), NOW)
    assert saved_searches.save_search(tx, "an", SavedSearch("Ba", "q=3"), NOW)
    assert saved_searches.save_search(tx, "op", SavedSearch("báo cáo", "q=4"), NOW)
    assert saved_searches.list_saved_searches(tx, "an") == [SavedSearch("Ba", "q=3"), SavedSearch("báo cáo", "q=2")]
    saved_searches.remove_saved_search(tx, "an", "báo cáo")
    saved_searches.remove_all_searches(tx, "op")
    assert saved_searches.list_saved_searches(tx, "an") == [SavedSearch("Ba", "q=3")]
    assert saved_searches.list_saved_searches(tx, "op") == []
