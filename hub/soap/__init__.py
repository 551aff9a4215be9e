"""SOAP envelopes, attachments, WSDL, the documents service's calls, and the calls to a partner that has a WSDL."""
