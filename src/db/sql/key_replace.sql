UPDATE database_key SET state = $2, definition_key = $3, nonce = $4, ciphertext = $5
WHERE fingerprint = $1 AND nonce = $6 AND ciphertext = $7
