"""Writes the contract of a service that the configuration defines: its WSDL, and the schema of its answers.

The requests are what the schema of the service says. The answers are the same for all services that take messages: a
report of success, and a signed receipt. Does not know what a message means.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

import attrs
from lxml import etree

from hub.formats import xsd_schemas as xsd
from hub.formats.models.xsd_model import SchemaModel
from hub.formats.xsd_schemas import SchemaFiles
from hub.soap.wsdl import Contract
from hub.soap.wsdl_operations import Operation


@attrs.frozen
class DefinedOperation:
    """One operation: a message that callers send."""

    name: str  #: the local name of the request's element
    request: str  #: the Clark name of the request's element
    documentation: str  #: what the WSDL says of it


def name_answers_file(service: str) -> str:
    """Return the name of the schema of the answers of *service*. No file of the service may have it."""
    return f"{service}-answers.xsd"


def name_answers_space(service: str) -> str:
    """Return the namespace of the answers of *service*. The schema of the service may have it, too."""
    return f"urn:lienthong:{service}:1"


def write_answers_schema(service: str, operations: Sequence[str], schema: SchemaFiles) -> bytes:
    """Return the schema of the answers to *operations*. It includes *schema* if that has the same namespace."""
    space = name_answers_space(service)
    own = xsd.parse_schema_text(schema.read(schema.main)).get("targetNamespace") == space
    include = f'<xsd:include schemaLocation="{schema.main}"/>' if own else ""
    answers = "".join(f'<xsd:element name="{name}Response" type="a:SubmissionAnswer"/>' for name in operations)
    return _ANSWERS.format(space=space, include=include, answers=answers).encode()


def compile_answers(service: str, operations: Sequence[str], schema: SchemaFiles) -> SchemaFiles:
    """Return the files of *schema* with the schema of the answers, which is the main one.

    Raises etree.LxmlError if the two do not fit together: they have the same namespace, and a name in common.
    """
    file = name_answers_file(service)
    whole = SchemaFiles(
        file, tuple(sorted({**dict(schema.files), file: write_answers_schema(service, operations, schema)}.items()))
    )
    _ = xsd.compile_schema(whole)
    return whole


def make_defined_contract(
    name: str,
    documentation: str,
    operations: Sequence[DefinedOperation],
    schema: SchemaFiles,
    model: SchemaModel,
) -> Contract:
    """Return the contract of the service *name*. *model*: what *schema* describes.

    Raises etree.LxmlError if the schema of the answers does not fit beside *schema*.
    """
    whole = compile_answers(name, [each.name for each in operations], schema)
    space = name_answers_space(name)
    description = etree.fromstring(_write_wsdl(name, documentation, operations, schema).encode())
    return Contract(
        name=name,
        namespace=space,
        operations={
            each.request: Operation(each.name, each.request, f"{{{space}}}{each.name}Response", f"{space}/{each.name}")
            for each in operations
        },
        description=description,
        texts=dict(whole.files),
        schema=schema,
        model=model,
    )


def _write_wsdl(name: str, documentation: str, operations: Sequence[DefinedOperation], schema: SchemaFiles) -> str:
    space = name_answers_space(name)
    spaces = dict.fromkeys(etree.QName(each.request).namespace or "" for each in operations)
    prefixes = {each: f"m{number}" for number, each in enumerate(spaces)}
    target = xsd.parse_schema_text(schema.read(schema.main)).get("targetNamespace", "")
    imports = [(space, name_answers_file(name)), *([(target, schema.main)] if target != space else [])]
    ways = '<wsdl:{way} message="a:{message}"/>'
    messages = "".join(
        f'<wsdl:message name="{each.name}"><wsdl:part name="parameters" '
        f'element="{prefixes[etree.QName(each.request).namespace or ""]}:{each.name}"/></wsdl:message>'
        f'<wsdl:message name="{each.name}Response"><wsdl:part name="parameters" element="a:{each.name}Response"/>'
        "</wsdl:message>"
        for each in operations
    )
    port = "".join(
        f'<wsdl:operation name="{each.name}"><wsdl:documentation>{escape(each.documentation)}</wsdl:documentation>'
        f"{ways.format(way='input', message=each.name)}{ways.format(way='output', message=f'{each.name}Response')}"
        '<wsdl:fault name="FaultDetail" message="a:FaultDetail"/></wsdl:operation>'
        for each in operations
    )
    bindings = "".join(_write_binding(name, space, soap, version, operations) for soap, version in _BINDINGS)
    ports = "".join(
        f'<wsdl:port name="Soap{version}" binding="a:Soap{version}"><{soap}:address location="https://hub/"/></wsdl:port>'
        for soap, version in _BINDINGS
    )
    declared = "".join(f" xmlns:{prefix}={quoteattr(each)}" for each, prefix in prefixes.items())
    named = "".join(
        f"<xsd:import namespace={quoteattr(each)} schemaLocation={quoteattr(file)}/>" for each, file in imports
    )
    return (
        '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
        ' xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
        f' xmlns:a="{space}"{declared} name="{name}" targetNamespace="{space}">'
        f"<wsdl:documentation>{escape(documentation)}</wsdl:documentation>"
        f"<wsdl:types><xsd:schema>{named}</xsd:schema></wsdl:types>{messages}"
        '<wsdl:message name="FaultDetail"><wsdl:part name="fault" element="a:FaultDetail"/></wsdl:message>'
        f'<wsdl:portType name="Port">{port}</wsdl:portType>{bindings}<wsdl:service name="{name}">{ports}</wsdl:service>'
        "</wsdl:definitions>"
    )


#: The prefix of each binding of SOAP, and the version in its name.
_BINDINGS = (("soap", "11"), ("soap12", "12"))


def _write_binding(name: str, space: str, soap: str, version: str, operations: Sequence[DefinedOperation]) -> str:
    body = f'<{soap}:body use="literal"/>'
    inside = "".join(
        f'<wsdl:operation name="{each.name}"><{soap}:operation soapAction="{space}/{each.name}" style="document"/>'
        f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output>"
        f'<wsdl:fault name="FaultDetail"><{soap}:fault name="FaultDetail" use="literal"/></wsdl:fault></wsdl:operation>'
        for each in operations
    )
    return (
        f'<wsdl:binding name="Soap{version}" type="a:Port"><{soap}:binding style="document"'
        f' transport="http://schemas.xmlsoap.org/soap/http"/>{inside}</wsdl:binding>'
    )


#: The schema of the answers. Its types have names that no schema of a service is likely to use.
_ANSWERS = """<?xml version="1.0" encoding="UTF-8"?>
<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:a="{space}" targetNamespace="{space}"
            elementFormDefault="qualified" attributeFormDefault="unqualified">
  {include}
  <xsd:complexType name="AnswerErrorList">
    <xsd:sequence>
      <xsd:element name="Error" minOccurs="0" maxOccurs="unbounded">
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="Code" type="xsd:string"/>
            <xsd:element name="Description" type="xsd:string"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
    </xsd:sequence>
  </xsd:complexType>
  <xsd:complexType name="SubmissionAnswer">
    <xsd:sequence>
      <xsd:element name="Report">
        <xsd:annotation>
          <xsd:documentation xml:lang="vi">IsSuccess=false: thông điệp bị từ chối, ErrorList nêu từng lý do.</xsd:documentation>
          <xsd:documentation xml:lang="en">IsSuccess=false: the message is refused and ErrorList names each reason.</xsd:documentation>
        </xsd:annotation>
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="IsSuccess" type="xsd:boolean"/>
            <xsd:element name="ErrorList" type="a:AnswerErrorList"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
      <xsd:element name="DocumentId" type="xsd:token" minOccurs="0">
        <xsd:annotation>
          <xsd:documentation xml:lang="vi">Mã của trục cho thông điệp; không có khi bị từ chối.</xsd:documentation>
          <xsd:documentation xml:lang="en">The hub's own id of the message; absent on refusal.</xsd:documentation>
        </xsd:annotation>
      </xsd:element>
      <xsd:element name="Receipt" minOccurs="0">
        <xsd:annotation>
          <xsd:documentation xml:lang="vi">Biên nhận có chữ ký của trục: thông điệp đã nằm trong nhật ký.</xsd:documentation>
          <xsd:documentation xml:lang="en">The hub's signed answer that a message is in the journal. Kept alone as a document, its
            enveloped XML signature (URI="") verifies.</xsd:documentation>
        </xsd:annotation>
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="DocumentId" type="xsd:token"/>
            <xsd:element name="MessageId" type="xsd:token"/>
            <xsd:element name="Sha256" type="xsd:token"/>
            <xsd:element name="Time" type="xsd:dateTime"/>
            <xsd:any namespace="##other" processContents="lax"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
    </xsd:sequence>
  </xsd:complexType>
  {answers}
  <xsd:element name="FaultDetail">
    <xsd:annotation>
      <xsd:documentation xml:lang="vi">Lý do của SOAP Fault; hãy báo mã theo dõi (Tracking) cho đơn vị vận hành.</xsd:documentation>
      <xsd:documentation xml:lang="en">Why a call failed; give Tracking to the operator.</xsd:documentation>
    </xsd:annotation>
    <xsd:complexType>
      <xsd:sequence>
        <xsd:element name="Code" type="xsd:string"/>
        <xsd:element name="Description" type="xsd:string"/>
        <xsd:element name="Tracking" type="xsd:string"/>
        <xsd:element name="ErrorList" type="a:AnswerErrorList" minOccurs="0"/>
      </xsd:sequence>
    </xsd:complexType>
  </xsd:element>
</xsd:schema>
"""
