"""Refusals that every face tells a person: what is wrong, and what to do."""

from hub.language.phrases import Phrase, phrase


class RequestRefused(Exception):
    """The request is refused. It says in both languages what is *wrong* and what to *do*."""

    def __init__(self, status: int, wrong: Phrase, do: Phrase, retry_after: int | None = None) -> None:
        super().__init__(f"{status} {wrong}")
        self.status, self.wrong, self.do, self.retry_after = status, wrong, do, retry_after


def refuse_as_absent() -> RequestRefused:
    """Return the refusal for a page that does not exist or that this user may not see.

    Both cases give the same page.
    """
    return RequestRefused(
        404,
        phrase("There is no such page"),
        phrase("Check the address. The page may belong to a unit that this account may not see."),
    )


def refuse_declaration() -> RequestRefused:
    """Return the refusal of a declaration by a user whose role does not allow it."""
    return RequestRefused(
        403,
        phrase("The role of this account does not allow declaring figures"),
        phrase("Nothing was changed. Ask the unit's clerk, or ask the operator for the role."),
    )


def refuse_signing() -> RequestRefused:
    """Return the refusal of a signing step by a user whose role does not allow it."""
    return RequestRefused(
        403,
        phrase("The role of this account does not allow getting reports for signing or submitting signed ones"),
        phrase("Nothing was changed. Ask the unit's clerk, or ask the operator for the role."),
    )


def refuse_as_busy(retry_after: int = 5) -> RequestRefused:
    """Return the refusal of a request that cannot be answered now. *retry_after* is in seconds."""
    return RequestRefused(
        503,
        phrase("The hub is busy, or cannot read its journal now"),
        phrase("Load the page again in a moment."),
        retry_after,
    )


def refuse_outstanding_duties(left: str, retry_after: int) -> RequestRefused:
    """Return the refusal of a report whose facts are not all written yet. *left* says how many are missing."""
    return RequestRefused(
        503,
        phrase("Facts of accepted messages are still being written"),
        phrase("Load the page again in a moment ({left}).", left=left),
        retry_after,
    )


def refuse_too_large() -> RequestRefused:
    """Return the refusal of a body larger than any form of the console."""
    return RequestRefused(
        413,
        phrase("The form or file is too large"),
        phrase("Send a smaller file."),
    )


def refuse_as_failed() -> RequestRefused:
    """Return the refusal after an internal error."""
    return RequestRefused(
        500,
        phrase("Internal error of the hub"),
        phrase("Load the page again. If the error stays, tell the operator the time of the error."),
    )
