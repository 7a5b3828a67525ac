-- Keys, the encryption switch and the catalogue live in one database, so that one transaction sees them together.
-- Times are Unix milliseconds. Nothing here is secret without the definition key; what lies here in clear is said
-- at each column.

-- Database keys, each wrapped by the definition key. Rows are never deleted.
CREATE TABLE database_key (
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
    -- Of the wrapping, fresh each time. 12 bytes.
    nonce BLOB NOT NULL CHECK (length(nonce) = 12),
    -- The key under the definition key, and its tag. 48 bytes.
    ciphertext BLOB NOT NULL CHECK (length(ciphertext) = 48),
    -- When a backup of it was last written; null when none ever was.
    exported_at INTEGER
) STRICT;

-- Settings that commands change while servers run.
CREATE TABLE setting (
    -- 'encryption' is the only one.
    name TEXT NOT NULL PRIMARY KEY,
    -- For 'encryption': 'enabled' or 'disabled'; no row while the switch was never touched.
    value TEXT NOT NULL
) STRICT;

-- Recordings by ID. What is sealed is what this table says.
CREATE TABLE recording (
    -- In clear.
    id TEXT NOT NULL PRIMARY KEY,
    -- Of the plaintext, in clear.
    media_type TEXT NOT NULL,
    -- Bytes of media; for one that is not complete, as last known.
    media_len INTEGER NOT NULL CHECK (media_len >= 0),
    -- 0 being written, 1 unfinished, 2 complete.
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
    -- While being written: when its writer is held to be dead unless it renews.
    lease_until INTEGER,
    -- 1 when it was sealed again from a recording whose end is missing.
    mended INTEGER NOT NULL CHECK (mended IN (0, 1)),
    -- When it was stored; for a sealed one, when its header was first written.
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    -- 1 sealed, 0 plain.
    sealed INTEGER NOT NULL CHECK (sealed IN (0, 1)),
    -- Sealed: the database key that wraps its file key.
    fingerprint BLOB CHECK (length(fingerprint) = 32),
    -- Sealed: the name of the sealing under the recording's name, so that an older one in its place is known.
    seal_id BLOB CHECK (length(seal_id) = 16),
    -- Sealed: the sealing that replaces it, while a replacement is under way.
    replacement_seal_id BLOB CHECK (length(replacement_seal_id) = 16),
    -- Plain: SHA-256 of the media as it was stored.
    digest BLOB CHECK (length(digest) = 32),
    -- Plain: 1 when it is kept plain on purpose.
    exempt INTEGER CHECK (exempt IN (0, 1)),
    CHECK ((state = 0) = (lease_until IS NOT NULL)),
    CHECK ((sealed = 1) = (fingerprint IS NOT NULL AND seal_id IS NOT NULL)),
    CHECK ((sealed = 0) = (digest IS NOT NULL AND exempt IS NOT NULL))
) STRICT;

-- Pages of the catalogue, newest first, each at the cost of the first.
CREATE INDEX recording_newest_first ON recording (created_at DESC, id DESC);

-- How many recordings need a key.
CREATE INDEX recording_by_key ON recording (fingerprint) WHERE fingerprint IS NOT NULL;
