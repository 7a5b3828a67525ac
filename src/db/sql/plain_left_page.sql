SELECT number, id, location, is_part, len, digest FROM plain_left WHERE number > $1 ORDER BY number LIMIT $2
