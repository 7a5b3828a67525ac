INSERT INTO companion (id, name, version, media_type, content_len, fingerprint, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id, name) DO UPDATE SET
    version = excluded.version, media_type = excluded.media_type, content_len = excluded.content_len,
    fingerprint = excluded.fingerprint, digest = excluded.digest
