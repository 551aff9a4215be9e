"""Counts again what happened, from the files of the partners, and compares the result with the hub's reports."""
