"""Packets of QCVN 102: schema, rules, normalisation and the signature within."""
