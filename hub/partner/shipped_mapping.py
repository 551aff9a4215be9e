"""Reads the mapping and the WSDL that an adapter ships in its folder: they are the program's, not the operator's."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from hub.partner.mapping_reading import read_mapping
from hub.partner.soap_mapping import SoapMapping


@cache
def read_shipped_mapping(package: str) -> tuple[SoapMapping, Mapping[str, bytes]]:
    """Return mapping.toml in the folder of *package*, and the content of every file that it lists, by name.

    A test compares the SHA-256 of the files, so they are not compared here. Raises ConfigurationFault for a mapping that
    cannot be read.
    """
    folder = files(package)
    mapping = read_mapping(folder.joinpath("mapping.toml").read_bytes())
    return mapping, {name: folder.joinpath(name).read_bytes() for name in mapping.files}
