UPDATE recording SET held_at = $2 WHERE id = $1 AND purging = 0
