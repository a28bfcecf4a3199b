# Run once by the image of PostgreSQL, when it has made the database.
echo "host replication all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
# From now on each commit waits until the standby has it on disk.
psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
  --command="ALTER SYSTEM SET synchronous_standby_names = 'standby'"
