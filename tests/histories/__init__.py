"""Histories of a journal: what happens is drawn, done by the hub, and compared with the second count of tests/recount."""
