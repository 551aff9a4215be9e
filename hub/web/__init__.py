"""Serves HTTP: SOAP calls on the SOAP port, the public pages, and the answers of the admin port for pages and API alike."""
