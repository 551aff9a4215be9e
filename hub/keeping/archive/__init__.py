"""Archive files: what the journal lets go of, written into sealed files that standard tools read, and read from there.

Start at `writing.write_archive` and `reading.open_archive`. docs/reference/archive.md specifies the file. Decides neither
what goes nor when, and deletes nothing.
"""
