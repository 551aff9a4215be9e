"""SOAP envelopes, attachments, WSDL, and the calls of the documents service."""
