SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging,
    location, spool
FROM recording
WHERE id IN (
    WITH stretch AS MATERIALIZED (
        SELECT listed_at, id FROM recording
        WHERE (listed_at, id) < ($1, $2)
        ORDER BY listed_at DESC, id DESC
        LIMIT $5
    ),
    item AS MATERIALIZED (
        SELECT item.value ->> 0 AS low, item.value ->> 1 AS high FROM jsonb_array_elements($4::jsonb) AS item (value)
    )
    SELECT id FROM stretch
    WHERE EXISTS (SELECT 1 FROM item WHERE stretch.id >= item.low AND stretch.id < item.high)
    ORDER BY listed_at DESC, id DESC
    LIMIT $3
)
ORDER BY listed_at DESC, id DESC
