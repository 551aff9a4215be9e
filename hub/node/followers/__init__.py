"""Deeds that follow the journal in short steps beside the exchange: chaining, indexing, listing open work."""
