UPDATE recording SET sidecars = $2 WHERE id = $1
