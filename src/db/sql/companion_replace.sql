UPDATE companion
SET version = $4, media_type = $5, content_len = $6, fingerprint = $7, digest = $8
WHERE id = $1 AND name = $2 AND version = $3
