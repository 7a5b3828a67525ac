-- Tokens that make nonces themselves, as those do that are bound to FIPS 140, make some of 16 bytes.
ALTER TABLE database_key
    DROP CONSTRAINT database_key_nonce_check,
    ADD CONSTRAINT database_key_nonce_check CHECK (length(nonce) IN (12, 16));
