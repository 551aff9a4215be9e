"""What an adapter offers so that `check --connect` can try its secrets: a question that changes nothing at the partner.

Knows no dialect and sends nothing.
"""

from collections.abc import Generator
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import attrs

from hub.domain.conversations import Request


@attrs.frozen
class SecretTrial:
    """A conversation that uses secrets and changes nothing: it takes no message and confirms none."""

    secrets: tuple[str, ...]  #: names of the settings that it uses
    #: at most 4 requests. Returns `Unavailable`, with `credentials` if the partner refuses them; anything else says that
    #: the partner took them
    conversation: Generator[Request, Any, object]


@runtime_checkable
class SecretTrier(Protocol):
    """An adapter whose partner answers a question that changes nothing."""

    def try_secret(self, now: datetime) -> SecretTrial | None:
        """Return the question. None: with these settings there is none."""
        ...
