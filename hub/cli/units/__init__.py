"""`lienthong units`: lists, imports and exports the province's units, and fetches the national list of agencies."""
