"""The console: officials and clerks read reports in a browser, and each number opens down to the bytes.

Knows pages, users and sessions; counts nothing and moves no message.  Start at `edge.Console`.
"""
