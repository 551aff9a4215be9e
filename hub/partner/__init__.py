"""A partner's policy, circuit breaker and rate limits, and the modules that an adapter may use."""
