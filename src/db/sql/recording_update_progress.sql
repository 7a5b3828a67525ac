UPDATE recording SET media_len = $2, state = $3, lease_until = $4, digest = $5 WHERE id = $1 AND state = 0
