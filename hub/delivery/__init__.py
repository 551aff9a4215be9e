"""Pushes messages to partners and pulls messages from them: the services and their transports (HTTP, SMTP, IMAP, files)."""
