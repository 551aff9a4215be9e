"""How sample partners sign, call, read and check; independent of the hub."""
