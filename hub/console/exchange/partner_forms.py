"""The form in which a person changes the settings of a partner, and what was changed in it. Pure: knows no HTTP, no files.

A field that the person leaves as it was asks for nothing. An emptied field removes the key, so that its default holds.
"""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from hub.config.partners.partner_edit import PartnerOrder
from hub.config.partners.partner_settings import LISTS, POLICY, SETTINGS, PartnerSetting, is_secret_key
from hub.language.phrases import Phrase, phrase
from hub.operations.typed_fields import read_typed_fields
from hub.partner.adapter_settings import SECRET_FILE

#: Written in the field `calls`: the partner may call nothing.
NOTHING = "none"
#: Maximum characters of a field, and of a reason; the forms have the same limits.
LONGEST, REASON = 4000, 500
#: The beginning of the name of a field in which a secret is written.
_WRITTEN = "secret."
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "receive": ("none", "fetch", "push"),
    "tells": ("*",),
    f"{POLICY}.signature": ("message", "packet", "both"),
    f"{POLICY}.profile": ("observed", "strict"),
    f"{POLICY}.sha1": ("no", "yes"),
    f"{POLICY}.vxp-signature": ("no", "yes"),
    f"{POLICY}.revocation": ("configured", "require", "allow"),
    f"{POLICY}.transport": ("mutual-tls", "tls", "plain"),
}
#: The settings of the form of a new partner, each with its default; "": there is none. The others follow on its page.
_NEW: Mapping[str, str] = {
    "name": "",
    "adapter": "documents",
    "receive": "none",
    "url": "",
    f"{POLICY}.transport": "mutual-tls",
    "units": "",
    "services": "documents",
    "calls": "documents",
    "tells": "",
}
#: What a setting is for, where its key does not say it.
_MEANINGS: Mapping[str, Phrase] = {
    "name": phrase("The displayed name."),
    "receive": phrase("fetch: it fetches its messages; push: the hub sends them to the URL."),
    "url": phrase("The URL at which the hub calls it."),
    "adapter": phrase("The dialect that it speaks."),
    "units": phrase("Codes of its units, with commas between; *: it may send for any unit."),
    "calls": phrase("What it may call, with commas between; none: nothing."),
    "services": phrase("Services whose messages are sent to it."),
    "lookups": phrase("Lookups that it answers."),
    "contracts": phrase("Other editions of contracts that it uses, SERVICE@EDITION."),
    "tells": phrase("*: it may report figures about any unit."),
}


@attrs.frozen(kw_only=True)
class SettingField:
    """One field of the form."""

    key: str
    value: str  #: empty: the default holds
    default: str  #: shown in an empty field
    choices: tuple[str, ...] = ()  #: the values that it may have; none: any text
    meaning: Phrase | None = None
    secret: str = ""  #: the name of the field beside it, in which a secret is written; it is never shown


def list_setting_fields(
    settings: Sequence[PartnerSetting],
    adapters: Sequence[str],
    secrets: Sequence[str] = (),
    typed: Mapping[str, str] | None = None,
) -> list[SettingField]:
    """Return the fields of the form. *typed*: what the person has written into them, where the form is shown again.

    *secrets*: the names of those that can be chosen.
    """
    choices = {**_CHOICES, "adapter": tuple(adapters)}
    held = {each.key: write_field(each) for each in settings if is_secret_key(each.key)}
    choices |= {key: tuple(dict.fromkeys((*secrets, *([value] if value else [])))) for key, value in held.items()}
    return [
        SettingField(
            key=each.key,
            value=write_field(each) if typed is None else typed.get(each.key, ""),
            default=_join_values(each.default),
            choices=choices.get(each.key, ()),
            meaning=_MEANINGS.get(each.key),
            secret=_name_secret_field(each.key) if each.key in held else "",
        )
        for each in settings
    ]


def list_new_fields(adapters: Sequence[str], typed: Mapping[str, str]) -> list[SettingField]:
    """Return the fields of the form of a new partner, but for its code and its certificate."""
    choices = {**_CHOICES, "adapter": tuple(adapters)}
    return [
        SettingField(
            key=key,
            value=typed.get(key, ""),
            default=_NEW[key],
            choices=choices.get(key, ()),
            meaning=_MEANINGS.get(key),
        )
        for key in _NEW
    ]


def read_typed_partner(form: Mapping[str, str]) -> dict[str, str]:
    """Return what *form* says of a new partner, by key, with single spaces and at most `LONGEST` characters each."""
    return read_typed_fields(form, ("code", *_NEW), LONGEST)


def list_new_assignments(typed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the settings of a new partner that the person has typed."""
    said = {key: typed[key] for key in _NEW if typed[key]}
    return tuple(f"{key}={'' if key == 'calls' and value == NOTHING else value}" for key, value in said.items())


def write_field(setting: PartnerSetting) -> str:
    """Return a setting as it stands in its field: empty if the file does not set it."""
    if not setting.is_set:
        return ""
    return _join_values(setting.value) or (NOTHING if setting.key == "calls" else "")


def _join_values(value: str | tuple[str, ...] | None) -> str:
    return ", ".join(value) if isinstance(value, tuple) else value or ""


def read_typed_settings(form: Mapping[str, str], settings: Sequence[PartnerSetting]) -> dict[str, str]:
    """Return what *form* says of the *settings*, by key, with single spaces and at most `LONGEST` characters each."""
    return read_typed_fields(form, [each.key for each in settings], LONGEST)


def read_typed_secrets(form: Mapping[str, str], settings: Sequence[PartnerSetting]) -> dict[str, str]:
    """Return the secrets that *form* says, by the names of their fields."""
    fields = (_name_secret_field(each.key) for each in settings if is_secret_key(each.key))
    said = {field: form.get(field, "").replace("\r\n", "\n") for field in fields}
    return {field: value for field, value in said.items() if value.strip()}


def _name_secret_field(key: str) -> str:
    return f"{_WRITTEN}{key.removeprefix(f'{SETTINGS}.').removesuffix(SECRET_FILE)}"


def make_settings_order(
    typed: Mapping[str, str], settings: Sequence[PartnerSetting], secrets: Mapping[str, str]
) -> PartnerOrder:
    """Return the changes that the person has typed. What stands in *secrets*, by field, goes before what is chosen."""
    chosen = [each for each in settings if not is_secret_key(each.key) or _name_secret_field(each.key) not in secrets]
    return PartnerOrder(
        assignments=tuple(_list_assignments(typed, chosen)),
        unset=tuple(each.key for each in chosen if not typed[each.key] and each.is_set and write_field(each)),
        secrets={field.removeprefix(_WRITTEN): value for field, value in secrets.items()},
    )


def _list_assignments(typed: Mapping[str, str], settings: Sequence[PartnerSetting]) -> Iterator[str]:
    for each in settings:
        said = typed[each.key]
        if not said or _normalise_value(each.key, said) == _normalise_value(each.key, write_field(each)):
            continue
        yield f"{each.key}={'' if each.key == 'calls' and said == NOTHING else said}"


def _normalise_value(key: str, text: str) -> str | tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip()) if key in LISTS else text


def name_group(key: str) -> str:
    """Return the table of the file in which *key* stands; "" at its top."""
    return key.partition(".")[0] if key.partition(".")[0] in {POLICY, SETTINGS} and "." in key else ""
