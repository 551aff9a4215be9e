"""Which columns of the forms a drill compares, and by which expectation."""

from collections.abc import Mapping, Sequence

MAIL_SUMS = {
    "SentInternal": "sent_internal",
    "SentExternal": "sent_external",
    "ReceivedInternal": "received_internal",
    "ReceivedExternal": "received_external",
    "RefusedSize": "refused_size",
    "OfficialDocuments": "official_documents",
}
MAIL_PEAKS = {"AccountsIssued": "accounts", "AccountsActive": "active", "OverQuota": "over_quota"}
_WORK = ("carried_over", "assigned", "done", "late", "withdrawn", "open", "overdue", "returned")
_SETTLED = ("settled_early", "settled_on_time", "settled_late")
_PENDING = ("pending_in_time", "pending_overdue")
_CHANNELS = ("received_online", "received_direct", "received_post", "received_unstated")
_DONE = ("finished_early", "finished_on_time", "finished_late")
_BTP07A = (
    *("received_direct", "received_online_full", "received_online_partial", "received_online_other", "received_post"),
    *("carried_over", "received_elsewhere", "settled_in_time", "settled_late_apologised", "settled_late_unapologised"),
    *("pending_in_time", "pending_overdue_apologised", "pending_overdue_unapologised", "paid_online", "paid_direct"),
    *("stopped", "awaiting_in_time", "awaiting_overdue", "refused", "withdrawn", "taken_over"),
)
#: The columns that the arithmetic counts, by form. Those of no test unit, such as what came from outside, are 0.
COUNTED: Mapping[str, Sequence[str]] = {
    "edoc": (
        *("sent_inside", "sent_outside", "received_inside", "received_outside", "recalls", "updates", "replacements"),
        *("signed", "not_signed", "on_paper", "acknowledged", "acknowledged_in_time", "refused", "completed"),
        *("completed_on_time", "completed_unmatched", "results_unmatched", "processing", "overdue", "failed"),
    ),
    "meetings": ("called", "cancelled", "held", "accepted", "declined", "attended"),
    "incidents": ("opened_grave", "opened_other", "closed", "closing_seconds", "open"),
    "ii06a": ("received_online", "received_direct", "carried_over", *_SETTLED, *_PENDING, "taken_over"),
    "dossiers": (
        *(*_CHANNELS, "carried_over", "taken_over", *_DONE, "withdrawn", *_PENDING, "refused", "supplement_requested"),
        *(
            "supplemented",
            "paused",
            "returned",
            "synced",
            "received_synced",
            "received_charged",
            "received_paid_online",
        ),
        *(
            "received_reused",
            "received_from_store",
            "received_identified",
            "finished_with_result",
            "finished_digitised",
        ),
        *("finished_timed", "days_taken", "ended_in_time", "ended_late", "open_in_time", "open_late"),
        *("declared_received", "declared_finished"),
    ),
    "btp07a": _BTP07A,
    "tthc": (*(*_BTP07A, "settled", "settled_late", "pending", "pending_overdue", "paid"),),
    "mail": (*MAIL_PEAKS.values(), "handed_over", *MAIL_SUMS.values()),
    "congviec": (
        *(f"{name}{suffix}" for name in _WORK for suffix in ("", "_converted")),
        *("excused", "done_unmatched"),
    ),
}
#: Columns that are sums of others, in the order in which they can be added up.
SUMS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "edoc": {
        "sent": ("sent_inside", "sent_outside"),
        "received": ("received_inside", "received_outside"),
        "total": ("sent", "received"),
    },
    "incidents": {"opened": ("opened_grave", "opened_other")},
    "ii06a": {
        "received": ("received_online", "received_direct", "carried_over", "taken_over"),
        "settled": _SETTLED,
        "pending": _PENDING,
    },
    "dossiers": {
        "received": _CHANNELS,
        "total": ("received", "carried_over", "taken_over"),
        "finished": (*_DONE, "withdrawn"),
        "pending": _PENDING,
        "finished_done": _DONE,
    },
    "btp07a": {
        "received": (*_BTP07A[:6], "taken_over"),
        "settled_late": ("settled_late_apologised", "settled_late_unapologised"),
        "settled": ("settled_in_time", "settled_late"),
        "pending_overdue": ("pending_overdue_apologised", "pending_overdue_unapologised"),
        "pending": ("pending_in_time", "pending_overdue"),
        "paid": ("paid_online", "paid_direct"),
        "awaiting": ("awaiting_in_time", "awaiting_overdue"),
    },
    "tthc": {"received_online": _BTP07A[1:4]},
    "mail": {"sent": ("sent_internal", "sent_external"), "received": ("received_internal", "received_external")},
    "congviec": {
        "total": ("carried_over", "assigned"),
        "total_converted": ("carried_over_converted", "assigned_converted"),
    },
}
