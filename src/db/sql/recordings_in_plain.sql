SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging,
    location, spool
FROM recording
WHERE sealed = 0 AND exempt = 0 AND id > $1
ORDER BY id
LIMIT $2
