SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging,
    location, spool
FROM recording
WHERE id IN (
    WITH item AS MATERIALIZED (
        SELECT json_extract(value, '$[0]') AS low, json_extract(value, '$[1]') AS high FROM json_each($4)
    )
    SELECT granted.id FROM item CROSS JOIN recording AS granted
    WHERE granted.id >= item.low AND granted.id < item.high
        AND (granted.listed_at, granted.id) < ($1, $2)
    ORDER BY granted.listed_at DESC, granted.id DESC
    LIMIT $3
)
ORDER BY listed_at DESC, id DESC
