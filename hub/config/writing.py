"""Writes the files beside `hub.toml`. Knows TOML and whole files. Does not check values."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hub.config.durable_files import replace_file


def write_partner_toml(
    *,
    name: str,
    certificates: Iterable[str],
    units: Iterable[str] = (),
    calls: Iterable[str],
    receive: str = "none",
    url: str | None = None,
    adapter: str | None = None,
    policy: Mapping[str, str] | None = None,
    comment: str = "",
) -> str:
    """Return the text of `partners/CODE.toml`."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [
        f"name = {quote_toml(name)}",
        _write_list("certificates", certificates),
        _write_list("units", units),
        _write_list("calls", calls),
        f"receive = {quote_toml(receive)}",
    ]
    if url:
        lines.append(f"url = {quote_toml(url)}")
    if adapter:
        lines.append(f"adapter = {quote_toml(adapter)}")
    if policy:
        lines += ["", "[policy]", *(f"{key} = {quote_toml(value)}" for key, value in policy.items())]
    return "\n".join(lines) + "\n"


def write_source_toml(issuer: str, *, crl_urls: Iterable[str], ocsp_urls: Iterable[str]) -> str:
    """Return the text of `trust/NAME.toml`. *issuer* is the file of the CA's certificate."""
    lines = [f"issuer = {quote_toml(issuer)}", _write_list("crl-urls", crl_urls), _write_list("ocsp-urls", ocsp_urls)]
    return "\n".join(lines) + "\n"


def quote_toml(value: str) -> str:
    """Return *value* as a TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_list(key: str, values: Iterable[str]) -> str:
    texts = [quote_toml(value) for value in values]
    inline = f"{key} = [{', '.join(texts)}]"
    return inline if len(inline) <= 100 else f"{key} = [\n" + "".join(f"    {text},\n" for text in texts) + "]"


def write_atomically(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write *content* to *path* atomically, and wait until file and name are on the disk. Creates its directories.

    *mode*: its permissions, from the first octet on; None: those of any new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, mode)
