"""Serves the console: users read and sign reports in a browser, and open each number down to the message bytes.

Contains pages. Counts no facts and delivers no message. The entry point is `edge.Console`.
"""
