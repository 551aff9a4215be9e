"""Settings of what the hub does for itself and not for a message: backups, probing links."""
