"""A partner's policy, circuit breaker, rate limits, calls by its own WSDL, and the modules that an adapter may use."""
