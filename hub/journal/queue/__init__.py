"""Deliveries: their lanes, claims, retries and replay, and the state of each partner."""
