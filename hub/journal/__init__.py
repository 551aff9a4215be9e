"""Everything the hub stores about messages, deliveries, facts and events, as functions on a transaction."""
