"""Writes the list of what a release is made of: a CycloneDX 1.6 document (ECMA-424) in JSON.

Knows pip's report, the licences that distributions state, and the lists that wheels bring of what is compiled into them
(PEP 770). Does not know Debian.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def write_bill(version: str, epoch: int, report: Sequence[Mapping[str, Any]], packages: Path | None) -> bytes:
    """Return the document about the release *version*, made at *epoch* (seconds since 1970).

    *report* is pip's, of each library; *packages* the folder in which they are installed, or None without the lists of
    their wheels. The same input gives the same octets.
    """
    libraries = [_describe_library(each, packages) for each in report]
    libraries.sort(key=lambda each: str(each["bom-ref"]))
    own = {
        "type": "application",
        "bom-ref": _name_purl("lienthong", version),
        "name": "lienthong",
        "version": version,
        "purl": _name_purl("lienthong", version),
        "licenses": [{"expression": "Apache-2.0 AND OFL-1.1"}],
    }
    needs = [
        {"ref": each["bom-ref"], "dependsOn": [part["bom-ref"] for part in each.get("components", [])]}
        for each in libraries
    ]
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "component": own,
        },
        "components": libraries,
        "dependencies": [{"ref": own["bom-ref"], "dependsOn": [each["bom-ref"] for each in libraries]}, *needs],
    }
    octets = json.dumps(content, sort_keys=True).encode()
    content["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, octets.hex())}"
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _describe_library(found: Mapping[str, Any], packages: Path | None) -> dict[str, Any]:
    said = found["metadata"]
    name, version = str(said["name"]), str(said["version"])
    purl = _name_purl(name, version)
    described: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": found["download_info"]["archive_info"]["hashes"]["sha256"]}],
    }
    if said.get("license_expression"):
        described["licenses"] = [{"expression": said["license_expression"]}]
    elif licence := _find_licence(said):
        described["licenses"] = [{"license": {"name": licence}}]
    parts = [] if packages is None else [*_list_compiled_parts(name, packages), *_list_parts_of_lxml(name, packages)]
    if parts:
        described["components"] = [{**part, "bom-ref": f"{purl}#{number}"} for number, part in enumerate(parts)]
    return described


def _find_licence(said: Mapping[str, Any]) -> str:
    """Return the first line of the licence that old metadata state, or else its classifier."""
    line = next((each for each in str(said.get("license") or "").splitlines() if each.strip()), "")
    kinds = [each.split(" :: ")[-1] for each in said.get("classifier", []) if each.startswith("License :: ")]
    return line[:200] if line and line.upper() != "UNKNOWN" else ", ".join(kinds)


def _list_compiled_parts(name: str, packages: Path) -> Iterable[dict[str, Any]]:
    """Yield what the wheel of a library says that it has compiled in, in the words of its own lists."""
    wanted = _write_file_name(name)
    for listed in sorted(packages.glob("*.dist-info/sboms/*.json")):
        if _write_file_name(listed.parent.parent.name.split("-")[0]) != wanted:
            continue
        for part in json.loads(listed.read_bytes()).get("components", []):
            if _write_file_name(part["name"]) != wanted:
                kept = ("type", "name", "version", "purl", "licenses", "hashes")
                yield {key: part[key] for key in kept if part.get(key)}


def _list_parts_of_lxml(name: str, packages: Path) -> Iterable[dict[str, Any]]:
    if name != "lxml":
        return
    headers = packages / "lxml/includes"
    for library, header, key in (
        ("libxml2", "libxml/xmlversion.h", "LIBXML_DOTTED_VERSION"),
        ("libxslt", "libxslt/xsltconfig.h", "LIBXSLT_DOTTED_VERSION"),
    ):
        for line in (headers / header).read_text("utf-8").splitlines():
            if line.startswith(f"#define {key} "):
                version = line.split('"')[1]
                yield {
                    "type": "library",
                    "name": library,
                    "version": version,
                    "purl": f"pkg:generic/{library}@{version}",
                }


def _name_purl(name: str, version: str) -> str:
    """Return the package URL (https://github.com/package-url/purl-spec, type pypi)."""
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"


def _write_file_name(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
