"""Registers the command `twistd lienthong`. Imports nothing of the hub: `tap` does when the command runs."""

from twisted.application.service import ServiceMaker

lienthong = ServiceMaker("Liên Thông", "tap", "SOAP/XML integration hub.", "lienthong")
