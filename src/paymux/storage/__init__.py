"""The SQL: the database connection, its schema, and one small module a noun."""
