"""The policy of a partner, its circuit breaker and rate limits, and all that an adapter may use."""
