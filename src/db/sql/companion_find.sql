SELECT id, name, version, media_type, content_len, fingerprint, digest
FROM companion
WHERE id = $1 AND name = $2
