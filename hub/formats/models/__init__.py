"""The model of a schema, made of its files by xmlschema, and what is kept of the schemas that are shipped."""
