"""Signing, calling, reading and checking by sample partners, independent of the hub's code."""
