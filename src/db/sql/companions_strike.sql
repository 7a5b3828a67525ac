DELETE FROM companion WHERE id = $1
