UPDATE database_key SET exported_at = $2 WHERE fingerprint = $1
