"""Judges who may sign in: passwords, one-time codes, client certificates, and the queue of attempts. Knows no pages."""
