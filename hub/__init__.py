"""Liên Thông, the integration hub of a province.  One package a responsibility; each imports only what stands below it."""
