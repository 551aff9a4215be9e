"""The SOAP port and the public pages."""
