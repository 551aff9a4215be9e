"""Answers lookups while the caller waits: from the cache of kept answers, or by asking a partner."""
