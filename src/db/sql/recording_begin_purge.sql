UPDATE recording SET purging = 1 WHERE id = $1
