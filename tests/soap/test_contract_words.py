"""The published schemas explain the values of their enumerations, in both languages."""

import pytest
from lxml import etree

from hub.formats import xsd_schemas

XSD = "{http://www.w3.org/2001/XMLSchema}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
ROOT = xsd_schemas.find_schema_root()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "xsd").rglob("*.xsd"))


@pytest.mark.parametrize("file", FILES)
def test_every_value_of_an_enumeration_is_explained_in_vietnamese_and_in_english(file):
    values = etree.parse(ROOT / file).iter(f"{XSD}enumeration")
    explained = {
        (value.sourceline, value.get("value")): {
            text.get(LANG)
            for text in value.iterfind(f"{XSD}annotation/{XSD}documentation")
            if (text.text or "").strip()
        }
        for value in values
    }
    assert {value: languages for value, languages in explained.items() if languages != {"vi", "en"}} == {}
