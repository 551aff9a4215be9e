"""The pages of what the hub keeps: backups, archive files and retention, versions."""
