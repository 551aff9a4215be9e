"""Packs what a partner's developers need into one ZIP file: a page in two languages, contracts, certificates, samples.

Contains no private key. The samples are signed with a throw-away key that is not kept. Does not know how a page looks.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from itertools import chain
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hub.domain.errors import SENTENCES
from hub.domain.local_time import HANOI
from hub.language.catalogues import say_both
from hub.language.languages import Language
from hub.monitoring.integration.facts import IntegrationFacts, write_pem
from hub.monitoring.integration.first_messages import StepState
from hub.monitoring.integration.page import arrange_integration
from hub.monitoring.integration.samples import SampleFile, make_samples, make_sandbox_key

#: Makes the page of the kit in a language, from its values.
RenderPage = Callable[[Language, Mapping[str, object]], bytes]
#: The pages of the kit.
PAGES = {Language.VI: "huong-dan.html", Language.EN: "guide.html"}
#: The last piece of its address in the console.
KIT = "kit.zip"
_READABLE = 0o100644 << 16  # Unix: a file that everyone may read


def name_kit(code: str) -> str:
    """Return the file name of the kit of the partner *code*."""
    return f"lienthong-{code}.zip"


def make_kit(
    facts: IntegrationFacts,
    steps: Sequence[StepState],
    now: datetime,
    render: RenderPage,
    letters: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the ZIP file of a partner. *render* makes its page; *letters* are further files, by name.

    Takes about half a second of CPU, most of it for the throw-away key.
    """
    key = make_sandbox_key(now)
    samples = list(make_samples(facts, key, now))
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        for name, content in chain((letters or {}).items(), _list_files(facts, steps, samples, now, render)):
            _put_into_archive(archive, name, content, now)
        _put_into_archive(archive, "samples/sandbox.crt", write_pem([key.identity.certificate, key.authority]), now)
    return made.getvalue()


def _list_files(
    facts: IntegrationFacts,
    steps: Sequence[StepState],
    samples: Sequence[SampleFile],
    now: datetime,
    render: RenderPage,
) -> Iterable[tuple[str, bytes]]:
    said = arrange_integration(facts, steps) | {"samples": samples, "at": now, "other": PAGES}
    for language, name in PAGES.items():
        yield name, render(language, said)
    for service in facts.services:
        contract = service.contract
        alone = contract.schema_names == (f"{contract.name}.xsd",)
        folder = "xsd/" if alone else f"xsd/{contract.name}/"  # files of two services may have one name
        yield f"{contract.name}.wsdl", contract.wsdl(service.address, folder)
        for each in contract.schema_names:
            yield f"{folder}{each}", contract.xsd(each)
    for name, certificate in facts.own:
        yield f"certificates/{name}", write_pem([certificate])
    yield "certificates/ca.crt", write_pem(facts.anchors)
    yield "errors.json", _write_errors()
    for sample in samples:
        yield f"samples/{sample.name}", sample.content


def _write_errors() -> bytes:
    rows = [
        {"code": code, "vi": vietnamese, "en": english}
        for code, sentence in sorted(SENTENCES.items())
        for vietnamese, english in [say_both(sentence)]
    ]
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _put_into_archive(archive: ZipFile, name: str, content: bytes, now: datetime) -> None:
    local = now.astimezone(HANOI)
    entry = ZipInfo(name, (local.year, local.month, local.day, local.hour, local.minute, local.second))
    entry.compress_type, entry.external_attr = ZIP_DEFLATED, _READABLE
    archive.writestr(entry, content)
