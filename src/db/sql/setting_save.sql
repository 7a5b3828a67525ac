INSERT INTO setting (name, value) VALUES ('encryption', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
