"""Judges a call or a message: verifies, validates, authorises, routes and receipts it."""
