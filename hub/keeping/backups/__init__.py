"""Backups of a hub: made, encrypted, tried, listed, restored. Works on files and databases; knows no reactor."""
