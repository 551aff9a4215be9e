"""Which facts count in which cell of a report: arithmetic on values."""
