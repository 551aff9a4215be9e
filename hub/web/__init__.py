"""Serves SOAP calls on the SOAP port, and the public pages."""
