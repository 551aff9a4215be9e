"""The adapters of partner systems: one folder for each dialect. They are pure and do not import one another.

A partner's configuration names its adapter by the folder: `adapter = "documents"` in `partners/CODE.toml`.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import attrs

from hub.domain.conversations import Adapter
from hub.domain.errors import Mistake
from hub.language.phrases import Phrase, phrase
from hub.partner.adapter_settings import Setting, Terms

_NOTHING: Mapping[str, str] = {}
_NO_FILES: Mapping[str, bytes] = {}


def list_adapter_names() -> tuple[str, ...]:
    """Return the values that `adapter = …` may have."""
    return tuple(sorted(found.name for found in iter_modules(__path__) if found.ispkg))


def make_adapter(name: str, terms: Terms) -> Adapter:
    """Return the adapter *name*, configured by *terms* for one partner. Raises KeyError if there is no such folder."""
    folder = _import_adapter(name)
    defaults = {
        each.name: each.default for each in list_adapter_settings(name) if each.default is not None and not each.secret
    }
    made: Adapter = folder.adapter(attrs.evolve(terms, settings={**defaults, **terms.settings}))
    return made


def list_adapter_settings(
    name: str, given: Mapping[str, str] = _NOTHING, files: Mapping[str, bytes] = _NO_FILES
) -> tuple[Setting, ...]:
    """Return the keys of `[settings]` that the adapter *name* reads. Raises KeyError if there is no such folder.

    An adapter whose folder has the function `list_settings(given, files)` reads further ones, which the *files* of the
    partner name. *given* are the texts of `[settings]`.
    """
    folder = _import_adapter(name)
    found: Iterable[Setting] = getattr(folder, "SETTINGS", ())
    further = getattr(folder, "list_settings", None)
    return (*found, *(further(given, files) if further else ()))


def find_file_mistakes(name: str, given: Mapping[str, str], files: Mapping[str, bytes]) -> Sequence[Mistake]:
    """Return the mistakes in the *files* of a partner with the adapter *name*. Each path begins with the file's name.

    The adapter's folder has the function `find_mistakes(given, files)` if it reads files. *given* are the texts of
    `[settings]`.
    """
    judge = getattr(_import_adapter(name), "find_mistakes", None)
    found: Sequence[Mistake] = judge(given, files) if judge else ()
    return found


def list_url_schemes(name: str) -> tuple[str, ...]:
    """Return the URL schemes that the adapter *name* supports: `https` and `http` unless its folder defines `SCHEMES`."""
    found: Iterable[str] = getattr(_import_adapter(name), "SCHEMES", ("https", "http"))
    return tuple(found)


def carries_any_service(name: str) -> bool:
    """Tell whether the adapter *name* delivers messages of services that the configuration defines (`ANY_SERVICE`)."""
    found: bool = getattr(_import_adapter(name), "ANY_SERVICE", False)
    return found


def estimate_step_cost(adapter: object) -> int:
    """Return what one step of a conversation with *adapter* costs whatever the message is, in octets of ordinary XML.

    It is the adapter's `step_cost`, 0 if it has none. So a dialect that needs much computing leaves the reactor's thread.
    """
    cost: int = getattr(adapter, "step_cost", 0)
    return cost


def keeps_progress(adapter: object) -> bool:
    """Tell whether *adapter* goes on with a long message where its last conversation stood (`Request.progress`)."""
    kept: bool = getattr(adapter, "keeps_progress", False)
    return kept


def answers_lookups(name: str) -> bool:
    """Tell whether the adapter *name* answers lookups: whether a class of its folder has the method `ask`."""
    folder = _import_adapter(name)
    return any(
        isinstance(each, type) and each.__module__ == folder.__name__ and hasattr(each, "ask")
        for each in vars(folder).values()
    )


def list_conversations(name: str, given: Mapping[str, str], files: Mapping[str, bytes]) -> frozenset[str] | None:
    """Return which conversations a partner with the adapter *name* can hold, where its *files* decide that, else None.

    `deliver`, `collect`, and `ask.OPERATION` for each lookup. The adapter's folder has the function
    `list_conversations(given, files)`, which returns None for files with mistakes. *given* are the texts of `[settings]`.
    """
    listed = getattr(_import_adapter(name), "list_conversations", None)
    found: frozenset[str] | None = listed(given, files) if listed else None
    return found


def find_settings_flaws(
    name: str, given: Mapping[str, str], secrets: Mapping[str, str], files: Mapping[str, bytes] = _NO_FILES
) -> list[tuple[str, Phrase, Phrase]]:
    """Return the mistakes in the settings *given* and the *secrets*: for each the key, what is wrong, what is expected.

    *files* are those of `Terms.files`.
    """
    known = list_adapter_settings(name, given, files)
    found = []
    for setting in known:
        value = (secrets if setting.secret else given).get(setting.name)
        if value is None and setting.default is None:
            found.append((setting.key, phrase("is missing"), setting.expected))
        elif value is not None and not setting.fits(value):
            found.append(
                (
                    setting.key,
                    phrase("does not fit") if setting.secret else phrase("{value} does not fit", value=repr(value)),
                    setting.expected,
                )
            )
    keys = {setting.key for setting in known}
    expected = (
        phrase("one of {keys}", keys=", ".join(sorted(keys)))
        if keys
        else phrase("no [settings]: the adapter {name} reads none", name=name)
    )
    written = [*given, *(f"{secret}-file" for secret in secrets)]
    return [*found, *((key, phrase("unknown key"), expected) for key in sorted(set(written) - keys))]


def _import_adapter(name: str) -> ModuleType:
    if name not in list_adapter_names():
        raise KeyError(name)
    return import_module(f"adapters.{name}")
