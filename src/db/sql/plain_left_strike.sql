DELETE FROM plain_left WHERE id = $1 AND location = $2 AND digest = $3
