"""A partner's policy, circuit breaker, rate limits and mapping, and the modules that an adapter may use."""
