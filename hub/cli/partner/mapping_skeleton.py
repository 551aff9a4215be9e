"""Writes a mapping to fill in: the steps, and as comments every field with its type, occurrence and documentation.

Knows the text of docs/reference/soap-partners.md and the fields of the WSDL. Does not know what a message is mapped to:
a person decides that.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hub.cli.screen import read_language, say_count, t
from hub.config.editing import Value, edit_toml
from hub.config.writing import quote_toml
from hub.domain.sanitize import replace_controls
from hub.formats.models.xsd_model import Labels, ModelValue
from hub.soap.wsdl_fields import DescribedOperation, DescribedPort, OperationField

#: Characters of one documentation, values of one enumeration that are written.
_SAID, _VALUES = 300, 30
_OCTETS = {"base64Binary", "hexBinary"}


def write_mapping(
    files: Mapping[str, bytes],
    main: str,
    origin: str,
    port: DescribedPort,
    ports: Sequence[DescribedPort],
    operations: Sequence[DescribedOperation],
) -> str:
    """Return the text of a mapping for the WSDL *main* of *files*, with a step for each of *operations*.

    *origin* is the address or path that the WSDL came from; *ports* are all of it, of which *port* is called.
    """
    lines = [
        *_comment_out(t("{main}, from {origin}.", main=main, origin=origin)),
        *_comment_out(t("Fill in what begins with # and remove the #. All keys: docs/reference/soap-partners.md")),
        "",
        "[wsdl]",
        f"file = {quote_toml(main)}",
        f"service = {quote_toml(port.service)}",
        f"port = {quote_toml(port.name)}  # SOAP {port.soap}, {port.style}",
    ]
    others = [f"{each.service}/{each.name} (SOAP {each.soap})" for each in ports if each != port]
    if others:
        lines += _comment_out(t("Other ports: {ports}", ports=", ".join(others)))
    rest = [each for each in port.operations if each not in {one.name for one in operations}]
    if rest:
        lines += _comment_out(t("Other operations: {operations}", operations=", ".join(rest)))
    lines += ["", "[wsdl.sha256]", *_write_hashes(files), "", "[security]"]
    lines += [
        "# sign = true",
        "# verify = true",
        '# username-token = { username = "{settings.user}", password = "{secrets.password}" }',
    ]
    for operation in operations:
        lines += ["", *_write_step(operation)]
    return "\n".join(lines) + "\n"


def renew_mapping(before: str, files: Mapping[str, bytes], main: str) -> str:
    """Return the mapping *before* for a new version of its WSDL: with its file names and hashes, and all else as it was.

    Raises ConfigurationFault if it is not TOML.
    """
    hashes: dict[str, Value] = dict.fromkeys(tomllib.loads(before).get("wsdl", {}).get("sha256", {}))
    hashes |= {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return edit_toml(before, {"wsdl": {"file": main, "sha256": hashes}}, "mapping.toml")


def _write_hashes(files: Mapping[str, bytes]) -> Iterator[str]:
    for name, content in files.items():
        yield f"{quote_toml(name)} = {quote_toml(hashlib.sha256(content).hexdigest())}"


def _write_step(operation: DescribedOperation) -> Iterator[str]:
    """Yield the lines of one step of a delivery."""
    if operation.documentation:
        yield from _comment_out(operation.documentation)
    yield "[[deliver]]"
    yield f"operation = {quote_toml(operation.name)}"
    if operation.header:
        yield "[deliver.header]"
        yield from _write_fields(operation.header)
    yield "[deliver.input]"
    yield from _write_fields(operation.input) if operation.input else _comment_out(t("It takes nothing."))
    if operation.is_cut:
        yield from _comment_out(t("Further fields are left out: there are too many, or they contain themselves."))
    yield "#"
    yield from _comment_out(t("What later steps need of the answer:") if operation.answer else t("It answers nothing."))
    if operation.answer:
        yield "# [deliver.keep]"
        yield '# NAME = "PATH"'
        yield "#"
    yield from _comment_out(t("What the answer means; the paths:"))
    for field in (*operation.answer, *operation.faults):
        yield from _comment_out(f"  {field.path}{_describe_mapped_field(field)}")
    if operation.answer or operation.faults:
        yield "# [[deliver.outcome]]"
        yield '# when = { "PATH" = ["VALUE"] }'
        yield '# then = "accepted"'
        yield "# [[deliver.outcome]]"
        yield '# when = { "PATH" = "*" }'
        yield '# then = "refused"'
        yield '# reason = "PATH"'


def _write_fields(fields: Iterable[OperationField]) -> Iterator[str]:
    for field in fields:
        if field.most != 1:
            yield from _comment_out(t("For several: {table}", table=f'[deliver.list."{field.path}"]'))
        if field.value is None and not field.path.endswith("*"):
            yield from _comment_out(f"{field.path}{_describe_mapped_field(field)}")
            continue
        given = "{content}" if field.value is not None and field.value.builtin in _OCTETS else ""
        yield f"# {quote_toml(field.path)} = {quote_toml(given)}{_comment_of(_describe_mapped_field(field))}"


def _describe_mapped_field(field: OperationField) -> str:
    """Return type, occurrence, allowed values and documentation, each behind a separator."""
    said = [
        *(_say_type(field.value) if field.value is not None else []),
        t("required") if field.is_needed else t("optional"),
        *([_say_most(field.most)] if field.most != 1 else []),
        *([t("may be nil")] if field.nillable else []),
    ]
    text = f": {', '.join(said)}"
    label = choose_label(field.labels)
    return f"{text}. {label}" if label else text


def _say_most(most: int | None) -> str:
    return t("any number") if most is None else t("at most {count} times", count=say_count(most))


def _say_type(value: ModelValue) -> Iterator[str]:
    yield f"xs:{value.builtin}" if value.variety == "atomic" else f"{value.variety} (xs:{value.builtin})"
    if value.choices is not None:
        shown = [
            f"{each.value} ({label})" if (label := choose_label(each.labels)) else each.value
            for each in value.choices[:_VALUES]
        ]
        more = ["…"] if len(value.choices) > _VALUES else []
        yield t("one of {values}", values=" | ".join([*shown, *more]))
    if value.least and value.most is not None:
        same = value.least == value.most
        number = say_count(value.least) if same else f"{say_count(value.least)}–{say_count(value.most)}"
        yield t("{count} characters", count=number)
    elif value.least:
        yield t("at least {count} characters", count=say_count(value.least))
    elif value.most is not None:
        yield t("at most {count} characters", count=say_count(value.most))
    for each in value.patterns:
        yield t("pattern {pattern}", pattern=" | ".join(each))
    bounds = (
        ("≥", value.min_inclusive),
        (">", value.min_exclusive),
        ("≤", value.max_inclusive),
        ("<", value.max_exclusive),
    )
    yield from (f"{sign} {bound}" for sign, bound in bounds if bound is not None)
    if value.fraction_digits is not None:
        yield t("at most {count} decimals", count=value.fraction_digits)


def choose_label(labels: Labels) -> str:
    """Return the documentation in the language of the command, or in no language, or in whichever there is."""
    language = str(read_language())
    found = labels.get(language) or labels.get("") or labels.get("vi") or next(iter(labels.values()), "")
    text = " ".join(replace_controls(found).split())
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def _comment_out(text: str) -> Iterator[str]:
    yield f"# {_flatten_text(text)}"


def _comment_of(text: str) -> str:
    return f"  # {_flatten_text(text.removeprefix(': '))}"


def _flatten_text(text: str) -> str:
    """Return *text* on one line, as a comment of TOML may be. Whatever a WSDL says, no line ends here."""
    return replace_controls(text).rstrip()
