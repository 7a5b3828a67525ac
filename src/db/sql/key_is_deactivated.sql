SELECT count(*) FROM database_key WHERE fingerprint = $1 AND state = 1
