INSERT INTO recording_term (kind, term, listed_at, id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
