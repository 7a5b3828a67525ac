SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging,
    location, spool
FROM recording
WHERE id IN (
    WITH item AS MATERIALIZED (
        SELECT item.value ->> 0 AS low, item.value ->> 1 AS high FROM jsonb_array_elements($4::jsonb) AS item (value)
    )
    SELECT granted.id
    FROM item
    -- With OFFSET the order does not lead into the ranges: each is read from the index of IDs, never the whole catalogue.
    CROSS JOIN LATERAL (
        SELECT id, listed_at FROM recording WHERE id >= item.low AND id < item.high OFFSET 0
    ) AS granted
    WHERE (granted.listed_at, granted.id) < ($1, $2)
    ORDER BY granted.listed_at DESC, granted.id DESC
    LIMIT $3
)
ORDER BY listed_at DESC, id DESC
