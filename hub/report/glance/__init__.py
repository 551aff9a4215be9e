"""The province at a glance: the units of a class beside one another, from numbers that are kept. Counts no facts."""
