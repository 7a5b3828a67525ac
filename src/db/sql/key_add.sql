INSERT INTO database_key (fingerprint, created_at, origin, state, definition_key, nonce, ciphertext, exported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (fingerprint) DO NOTHING
