UPDATE recording
SET media_len = $2, state = $3, mended = $4, sealed = 1, fingerprint = $5, seal_id = $6, digest = NULL, exempt = NULL,
    location = NULL
WHERE id = $1 AND purging = 0 AND sealed = 0 AND media_len = $7 AND state = $8 AND state <> 0 AND digest = $9
    AND exempt = $10 AND location IS NOT DISTINCT FROM $11
