"""The addresses of pages."""

from urllib.parse import quote, urlencode


def build_page_path(*pieces: str, **query: str | None) -> str:
    """Return the address of a page. A piece may hold any character. Query values that are None are left out."""
    said = {name: value for name, value in query.items() if value is not None}
    return "/" + "/".join(quote(piece, safe="") for piece in pieces) + (f"?{urlencode(said)}" if said else "")
