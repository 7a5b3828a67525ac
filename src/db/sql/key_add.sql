INSERT INTO database_key (fingerprint, created_at, origin, state, definition_key, nonce, ciphertext)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (fingerprint) DO NOTHING
