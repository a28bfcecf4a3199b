# Begins a statement that is prepared once for each connection, where the database can do that.
PREPARED = "/* prepared */ "
