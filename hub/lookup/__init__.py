"""Answers questions while the caller waits, from a partner or from what it answered before."""
