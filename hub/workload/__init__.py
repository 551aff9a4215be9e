"""The life of a unit's report: counted, closed, revised, signed, handed in, published."""
