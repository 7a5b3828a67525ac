SELECT
    id, media_type, media_len, state, lease_until, mended, created_at, sealed, fingerprint, seal_id,
    replacement_seal_id, replacement_fingerprint, replacement_header, digest, exempt, metadata, sidecars, held_at, purging,
    location, spool
FROM recording
WHERE id = $1
FOR UPDATE
