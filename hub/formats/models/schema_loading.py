"""Loads the model of a schema: as it is kept (`kept_values`), or derived anew."""

from collections.abc import Mapping
from typing import Any

from hub.formats.models.kept_values import read_kept
from hub.formats.models.xsd_model import SchemaModel, read_model, write_model


def load_schema_model(files: Mapping[str, bytes], main: str) -> SchemaModel:
    """Return the model of the schema *main* of *files* (`gather_schema_files`). Raises ConfigurationFault."""

    def derive() -> Any:
        from hub.formats.models.xsd_components import derive_model  # xmlschema: 0.15 s and 21 MB

        return write_model(derive_model(files, main))

    return read_model(read_kept(f"model {main}", files, derive))
