"""The fields of orders to send messages again, and who may correct one."""

from hub.domain.sanitize import clean_line
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.users import User
from hub.operations.messages import visible_messages
from hub.store.transactions import Transaction

#: Maximum characters of a reason; the forms have the same limit.
REASON = 500


class FieldUnfit(Exception):
    """A field of a form does not fit."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


def read_reason(text: str) -> str:
    """Return the reason in a field. Raises `FieldUnfit` if there is none."""
    reason = clean_line(text, REASON)
    if not reason:
        raise FieldUnfit(phrase("Say why; the reason is recorded."))
    return reason


def sees_original(tx: Transaction, user: User, message_id: str) -> bool:
    """Tell whether *user* may see the message *message_id*, which a plan corrects, and open its content.

    A corrected packet may name other units, so an account that is limited to some units or partners sees none.
    """
    if not user.sees_all or user.visible_partners is not None:
        return False
    opened = visible_messages.find_visible_message(tx, user, message_id)
    return opened is not None and opened.kept
