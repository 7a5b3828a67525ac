UPDATE recording SET spool = NULL
WHERE id = $1 AND sealed = $2 AND seal_id IS NOT DISTINCT FROM $3 AND digest IS NOT DISTINCT FROM $4
