SELECT id, name, version, media_type, content_len, fingerprint, digest
FROM companion
WHERE fingerprint <> $4 AND (id, name) > ($1, $2)
ORDER BY id, name
LIMIT $3
