"""`lienthong db`: the version of the database, its backup, and its move to PostgreSQL."""
