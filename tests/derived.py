"""Writes what is derived from the shipped schemas and kept (`hub/formats/models/kept`): `python -m tests.derived`, `./dev schemas`.

Everything that a start derives is derived once, from the files as they are now.
"""

from collections.abc import Mapping

from hub.config.service_files import read_shipped_services
from hub.edxml.schema import load_packet_schema
from hub.formats.models.kept_values import FOLDER, record_kept_values
from hub.services.defined import load_defined_model
from hub.soap import wsdl


def derive_all() -> Mapping[str, bytes]:
    """Return the content of each file of the folder, by name."""
    with record_kept_values() as found:
        for kind in ("document", "status"):
            load_packet_schema.__wrapped__(kind)
        for name in wsdl.list_contract_names():
            wsdl.load_contract(name)
        for each in read_shipped_services().values():
            load_defined_model(each)
        return dict(found)


def main() -> None:
    """Write the folder anew."""
    FOLDER.mkdir(exist_ok=True)
    values = derive_all()
    for path in FOLDER.glob("*.json"):
        if path.name not in values:
            path.unlink()
    for name, content in values.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
