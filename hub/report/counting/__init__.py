"""Decides which facts count in which cell of a report, and adds them up. Pure arithmetic on values."""
