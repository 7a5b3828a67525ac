UPDATE recording
SET metadata = $2, listed_at = COALESCE($3, created_at), group_name = $4, agent = $5
WHERE id = $1
