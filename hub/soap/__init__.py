"""SOAP envelopes, attachments, WSDL, and the requests and responses of the documents service."""
