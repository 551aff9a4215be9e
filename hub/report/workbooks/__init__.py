"""Workbooks of untrusted senders, read as sheets of cells within bounds."""
