SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt
FROM recording
WHERE (created_at, id) < ($3, $4) AND ($2 IS NULL OR EXISTS (
    SELECT 1 FROM json_each($2) AS item
    WHERE item.value = recording.id
        OR (substr(item.value, -1) = '*'
            AND substr(recording.id, 1, length(item.value) - 1) = substr(item.value, 1, length(item.value) - 1))
))
ORDER BY created_at DESC, id DESC
LIMIT $1
