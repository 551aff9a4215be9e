"""The workload report of a unit: periods, forms, counting and outputs.

Works on facts, units and forms as values. Contains no SQL, no clock and no reactor. Start at `counting.count_report`.
"""
