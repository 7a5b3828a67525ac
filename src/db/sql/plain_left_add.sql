INSERT INTO plain_left (id, location, is_part, len, digest) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id, location, digest) DO NOTHING
