"""`lienthong report`: a report shown, closed, declared, signed, handed in and published."""
