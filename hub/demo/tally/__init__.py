"""Counts again what happened, from the files of the partners, and compares it with the reports of the hub."""
