"""`lienthong report`: shows, closes, declares, signs, submits and publishes workload reports."""
