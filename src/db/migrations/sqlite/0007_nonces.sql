-- Tokens that make nonces themselves, as those do that are bound to FIPS 140, make some of 16 bytes. SQLite changes no
-- condition of a column: the table is made anew. Nothing refers to it.

CREATE TABLE database_key_7 (
    -- SHA-256 of a label and the key: its public name. 32 bytes.
    fingerprint BLOB NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    -- When it was generated, here or where it was exported. Bound by the wrapping.
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    -- 0 generated here, 1 imported. Bound by the wrapping.
    origin INTEGER NOT NULL CHECK (origin IN (0, 1)),
    -- 0 active, 1 deactivated. Bound by the wrapping.
    state INTEGER NOT NULL CHECK (state IN (0, 1)),
    -- Which definition key wraps it: that key's fingerprint, or a key manager's name for it.
    definition_key TEXT NOT NULL,
    -- Of the wrapping, fresh each time. 12 bytes, or 16.
    nonce BLOB NOT NULL CHECK (length(nonce) IN (12, 16)),
    -- The key under the definition key, and its tag. 48 bytes.
    ciphertext BLOB NOT NULL CHECK (length(ciphertext) = 48),
    -- When a backup of it was last written; null when none ever was.
    exported_at INTEGER
) STRICT;
INSERT INTO database_key_7 (fingerprint, created_at, origin, state, definition_key, nonce, ciphertext, exported_at)
    SELECT fingerprint, created_at, origin, state, definition_key, nonce, ciphertext, exported_at FROM database_key;
DROP TABLE database_key;
ALTER TABLE database_key_7 RENAME TO database_key;
