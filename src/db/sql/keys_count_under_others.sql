SELECT count(*) FROM database_key WHERE definition_key <> $1
