from twisted.application.service import ServiceMaker

lienthong = ServiceMaker("Liên Thông", "tap", "SOAP/XML integration hub.", "lienthong")
