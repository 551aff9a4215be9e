"""The values of the glossary, errors and their codes, life cycles, ids, local time, both languages.

Imports nothing of `hub`.
"""
