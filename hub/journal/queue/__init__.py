"""The delivery queue: deliveries, lanes, claims, retries and replay, and the state of each partner."""
