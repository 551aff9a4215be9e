"""Prints the WSDL of a service as spyne makes it of what a Python programmer writes: inheritance, facets, headers."""

# mypy: ignore-errors
# Runs on Python 3.11, in an environment of its own.
import sys

from spyne import Application, ComplexModel, Fault, Service, rpc
from spyne.interface.wsdl import Wsdl11
from spyne.model import Array, ByteArray, Date, Decimal, Enum, Integer, Unicode, XmlAttribute
from spyne.protocol.soap import Soap11

NS, KIEU = "urn:congdan.tinh.vn", "urn:kieu.tinh.vn"
GioiTinh = Enum("NAM", "NU", type_name="GioiTinh")


class PhienLamViec(ComplexModel):
    """The header of a call."""

    __namespace__ = NS
    token = Unicode(min_occurs=1, nillable=False)


class Nguoi(ComplexModel):
    """A person."""

    __namespace__ = KIEU
    so = XmlAttribute(Unicode(pattern="[0-9]{12}"), use="required")
    hoTen = Unicode(min_len=1, max_len=100, min_occurs=1, nillable=False)
    gioiTinh = GioiTinh(min_occurs=0)


class CongDan(Nguoi):
    """A citizen: an extension in the same namespace."""

    __namespace__ = KIEU
    ngaySinh = Date(min_occurs=1, nillable=False)
    anh = ByteArray(min_occurs=0)
    thuNhap = Decimal(min_occurs=0, total_digits=12, fraction_digits=2)


class KhongCo(Fault):
    """The fault of a question without an answer."""

    __namespace__ = NS


class DichVuCongDan(Service):
    """The service."""

    __in_header__ = PhienLamViec

    @rpc(Unicode(pattern="[0-9]{12}", min_occurs=1, nillable=False), _returns=CongDan, _throws=KhongCo)
    def timCongDan(ctx, soDinhDanh):  # noqa: N805 - as spyne's own examples call it
        """Tìm một công dân theo số định danh."""

    @rpc(Array(CongDan, min_occurs=1), Integer(ge=1, le=12), _returns=Integer, _throws=KhongCo)
    def khaiBao(ctx, danhSach, thang):  # noqa: N805
        """Khai báo nhiều công dân."""


application = Application([DichVuCongDan], NS, name="CongDan", in_protocol=Soap11(), out_protocol=Soap11())
application.transport = "http://schemas.xmlsoap.org/soap/http"
wsdl = Wsdl11(application.interface)
wsdl.build_interface_document("https://127.0.0.1/congdan")
sys.stdout.buffer.write(wsdl.get_interface_document())
