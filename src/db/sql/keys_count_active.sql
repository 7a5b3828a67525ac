SELECT count(*) FROM database_key WHERE state = 0
