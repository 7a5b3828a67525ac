DELETE FROM recording WHERE id = $1 AND purging = 1
