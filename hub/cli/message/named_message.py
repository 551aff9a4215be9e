"""Finds the message that a person names, for the commands about one message."""

from hub.cli.audit.archive import stop_without_archive
from hub.cli.message.messages import plan_message_search
from hub.cli.screen import NOT_FOUND, CommandStop, t
from hub.config import Config
from hub.domain.model import Message, MessageState
from hub.journal.searching import search
from hub.keeping.archive import opening
from hub.operations.messages.search_request import SearchRequest
from hub.store.transactions import Transaction

#: Messages that are looked at for the one with a number.
_NUMBERED = 100


def find_one_message(tx: Transaction, name: str, config: Config | None = None) -> Message:
    """Return the message with the hub id or message id *name*; of several the newest, accepted ones first.

    With *config* the only one with this number and notation is found, too, and one whose rows are all in an archive file, by
    the hub id. Raises `CommandStop` 4 if there is none, or several have the number; 1 if the archive file that may have it is not there.
    """
    found = search.find_messages_by_name(tx, name)
    if not found and config is not None:
        found = _find_by_number(tx, name, config)
    if not found and config is not None:
        with stop_without_archive(config):
            archived = opening.find_archived_message(tx, name, config.archive)
        found = [] if archived is None else [archived]
    if not found:
        raise CommandStop(
            t(
                "no message has the id {name}. `lienthong messages` finds by number and by words, too; a call that got "
                "hub-error or HTTP 503 is only in the log",
                name=name,
            ),
            NOT_FOUND,
        )
    accepted = [message for message in found if message.state is MessageState.ACCEPTED]
    return (accepted or found)[-1]


def _find_by_number(tx: Transaction, name: str, config: Config) -> list[Message]:
    """Return the message with that number and notation or DocumentId, else the only one that `lienthong messages NAME` finds.

    Return none if there is none. Raises `CommandStop` if there are several.
    """
    plan = plan_message_search(tx, SearchRequest(text=name), config)
    found = list(search.find_messages(tx, plan.filters, _NUMBERED, newest_first=True))
    found = [each for each in found if name in (each.code, each.document_id)] or found
    if len(found) > 1:
        raise CommandStop(
            t("several messages match {name}; `lienthong messages {name}` lists them, each with its id", name=name),
            NOT_FOUND,
        )
    return found
