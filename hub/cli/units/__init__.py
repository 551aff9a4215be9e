"""`lienthong units`: the units of the province and their codes, and the list of agencies of a partner."""
