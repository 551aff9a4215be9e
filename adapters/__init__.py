"""The dialects of partner systems, one folder each; pure, and strangers to one another.

A partner's configuration names its adapter by the folder: `adapter = "documents"` in `partners/CODE.toml`.
"""

from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pkgutil import iter_modules

from cryptography import x509

from hub.certificates import Signer
from hub.model import Adapter


def names() -> tuple[str, ...]:
    """Return the names that `adapter = …` may have."""
    return tuple(sorted(found.name for found in iter_modules(__path__) if found.ispkg))


def adapter(
    name: str,
    *,
    url: str,
    identity: Signer,
    certificates: Sequence[x509.Certificate],
    max_age: timedelta,
    skew: timedelta,
) -> Adapter:
    """Return the adapter *name* for one partner.  KeyError when there is no such folder.

    *identity* is the hub's; *certificates* are the partner's; *max_age* bounds how old a signed reply may be, *skew* how far
    the clock that signed it may be off.
    """
    if name not in names():
        raise KeyError(name)
    made: Adapter = import_module(f"adapters.{name}").adapter(
        url=url, identity=identity, certificates=certificates, max_age=max_age, skew=skew
    )
    return made
