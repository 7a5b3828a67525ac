SELECT fingerprint, created_at, origin, state, definition_key, nonce, ciphertext, exported_at
FROM database_key
ORDER BY created_at, fingerprint
