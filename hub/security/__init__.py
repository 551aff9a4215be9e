"""Certificates, CRL and OCSP, XML signatures, WS-Security, XAdES, CMS, PKCS#11, TLS contexts, encryption."""
