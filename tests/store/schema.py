"""What a database says of its own schema: each column, key, index, trigger, function and sequence, by its name.

Knows the catalogues of the two databases, and nothing of the hub.
"""

import re

import sqlalchemy as sa

#: What there is, and what it is.
_POSTGRESQL = """
SELECT table_name || '.' || column_name,
  concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default)
  FROM information_schema.columns WHERE table_schema = 'public';
SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public';
SELECT 'key ' || conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace;
SELECT 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'function ' || proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace;
SELECT concat(relkind, ' ', relname), concat(reloptions, (
    SELECT refobjid::regclass || '.' || refobjsubid FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i')))
  FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = 'public'::regnamespace
"""
_SQLITE = """
SELECT t.name || '.' || c.name, format('%s %s %s %s', c.type, c."notnull", c.dflt_value, c.pk)
  FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table';
SELECT format('foreign key %s.%s', t.name, k."from"), format('%s.%s', k."table", k."to")
  FROM sqlite_schema t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table';
SELECT format('key %s %s', t.name, (SELECT group_concat(name) FROM pragma_index_info(i.name))), i.origin
  FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin <> 'c';
SELECT type || ' ' || name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL;
SELECT 'autoincrement ' || name, '' FROM sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%'
"""


def describe_schema(tx: sa.Connection) -> dict[str, str]:
    """Return what there is, by its kind and name, as the database describes it."""
    found = dict[str, str]()
    for query in (_SQLITE if tx.dialect.name == "sqlite" else _POSTGRESQL).split(";"):
        for name, what in tx.exec_driver_sql(query):
            assert name not in found, name
            found[name] = re.sub(r"\s+", " ", str(what)).strip()
    return found
