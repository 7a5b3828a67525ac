DELETE FROM recording_term WHERE id = $1
