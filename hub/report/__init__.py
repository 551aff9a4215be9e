"""The workload report of a unit: periods, forms, counting and outputs.

Knows facts, units and forms as values; knows no SQL, no clock and no reactor.  Start at `counting.count_report`.
"""
