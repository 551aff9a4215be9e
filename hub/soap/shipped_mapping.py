"""Reads the mapping and the WSDL that an adapter ships in its folder: they are the program's, not the operator's."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from hub.domain.errors import ConfigurationFault
from hub.partner.soap_mapping import SoapMapping, find_file_mistakes, read_mapping

_MAPPING = "mapping.toml"


@cache
def read_shipped_mapping(package: str) -> tuple[SoapMapping, Mapping[str, bytes]]:
    """Return the mapping in the folder of *package*, and every file that its `[wsdl.sha256]` lists, by name.

    Raises ConfigurationFault for a mapping that cannot be read, and for a file that is missing or has another content.
    """
    folder = files(package)
    mapping = read_mapping(folder.joinpath(_MAPPING).read_bytes(), _MAPPING)
    found = {name: folder.joinpath(name) for name in mapping.hashes}
    contents = {name: file.read_bytes() for name, file in found.items() if file.is_file()}
    if mistakes := find_file_mistakes(mapping, contents):
        raise ConfigurationFault(mistakes)
    return mapping, contents
