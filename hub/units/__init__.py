"""Unit codes, routing, and the snapshot of the province."""
