SELECT count(*) FROM database_key
