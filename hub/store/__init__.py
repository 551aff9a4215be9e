"""The database: connections, tables, group commit, leader lock, notification, migrations."""
