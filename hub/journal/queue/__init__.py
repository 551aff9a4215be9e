"""The delivery queue: deliveries, lanes, claims, retries, the state of each partner, and how many wait."""
