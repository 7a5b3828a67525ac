SELECT
    id, media_type, media_len, state, lease_until, mended, created_at,
    sealed, fingerprint, seal_id, replacement_seal_id, digest, exempt
FROM recording
WHERE (created_at, id) < ($2, $3)
ORDER BY created_at DESC, id DESC
LIMIT $1
