SELECT listed_at FROM recording WHERE id = $1
