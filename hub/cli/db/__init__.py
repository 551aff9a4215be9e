"""`lienthong db`: schema version, backup and verification of the database, and its move to PostgreSQL."""
