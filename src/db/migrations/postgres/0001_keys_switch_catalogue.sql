-- Keys, the encryption switch and the catalogue live in one database, so that one transaction sees them together. The
-- same tables as in SQLite: numbers of 64 bits, and texts that are compared byte by byte, in whatever language the
-- server was set up. Times are Unix milliseconds. Nothing here is secret without the definition key; what lies here in
-- clear is said at each column.

-- Database keys, each wrapped by the definition key. Rows are never deleted.
CREATE TABLE database_key (
    -- SHA-256 of a label and the key: its public name. 32 bytes.
    fingerprint BYTEA NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    -- When it was generated, here or where it was exported. Bound by the wrapping.
    created_at BIGINT NOT NULL CHECK (created_at >= 0),
    -- 0 generated here, 1 imported. Bound by the wrapping.
    origin BIGINT NOT NULL CHECK (origin IN (0, 1)),
    -- 0 active, 1 deactivated. Bound by the wrapping.
    state BIGINT NOT NULL CHECK (state IN (0, 1)),
    -- Which definition key wraps it: that key's fingerprint, or a key manager's name for it.
    definition_key TEXT COLLATE "C" NOT NULL,
    -- Of the wrapping, fresh each time. 12 bytes.
    nonce BYTEA NOT NULL CHECK (length(nonce) = 12),
    -- The key under the definition key, and its tag. 48 bytes.
    ciphertext BYTEA NOT NULL CHECK (length(ciphertext) = 48),
    -- When a backup of it was last written; null when none ever was.
    exported_at BIGINT
);

-- Settings that commands change while servers run.
CREATE TABLE setting (
    -- 'encryption'; 'reseal', while a run that seals every recording again has not come to its end; 'database'.
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- For 'encryption': 'enabled' or 'disabled'; no row while the switch was never touched. For 'reseal': when it began,
    -- in Unix milliseconds, and under which key it seals. For 'database': a random name of this database, by which
    -- another one that answers in its place is told.
    value TEXT COLLATE "C" NOT NULL
);
INSERT INTO setting (name, value) VALUES ('database', gen_random_uuid()::text);

-- Recordings by ID. What is sealed is what this table says.
CREATE TABLE recording (
    -- In clear.
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Of the plaintext, in clear.
    media_type TEXT COLLATE "C" NOT NULL,
    -- Bytes of media; for one that is not complete, as last known.
    media_len BIGINT NOT NULL CHECK (media_len >= 0),
    -- 0 being written, 1 unfinished, 2 complete.
    state BIGINT NOT NULL CHECK (state IN (0, 1, 2)),
    -- While being written: when its writer is held to be dead unless it renews.
    lease_until BIGINT,
    -- 1 when it was sealed again from a recording whose end is missing.
    mended BIGINT NOT NULL CHECK (mended IN (0, 1)),
    -- When it was stored; for a sealed one, when its header was first written.
    created_at BIGINT NOT NULL CHECK (created_at >= 0),
    -- 1 sealed, 0 plain.
    sealed BIGINT NOT NULL CHECK (sealed IN (0, 1)),
    -- Sealed: the database key that wraps its file key.
    fingerprint BYTEA CHECK (length(fingerprint) = 32),
    -- Sealed: the name of the sealing under the recording's name, so that an older one in its place is known.
    seal_id BYTEA CHECK (length(seal_id) = 16),
    -- Sealed: the sealing that replaces it, while a replacement is under way.
    replacement_seal_id BYTEA CHECK (length(replacement_seal_id) = 16),
    -- The database key that the replacement needs; the recording needs both while it is under way.
    replacement_fingerprint BYTEA CHECK (length(replacement_fingerprint) = 32),
    -- The header that is being written in place of the file's: a reader that meets half of it reads it here. In clear.
    replacement_header BYTEA CHECK (length(replacement_header) = 512),
    -- Plain: SHA-256 of the media as it was stored.
    digest BYTEA CHECK (length(digest) = 32),
    -- Plain: 1 when it is kept plain on purpose.
    exempt BIGINT CHECK (exempt IN (0, 1)),
    -- Plain: the URL of the file when it was catalogued where it lies; null when it is in the media store. In clear.
    location TEXT COLLATE "C" CHECK (location <> ''),
    -- The URL of the proxy in whose spool the media lies, until it is in the store; null when it is there. In clear.
    spool TEXT COLLATE "C" CHECK (spool <> ''),
    -- By what listings are in order: when it was recorded, as its metadata says, else `created_at`.
    listed_at BIGINT NOT NULL CHECK (listed_at >= 0),
    -- What of its metadata may lie here in clear (`[encryption] index`): a JSON object; null when nothing.
    metadata TEXT COLLATE "C",
    -- Of the metadata, to look for: the group, and the agent. In clear.
    group_name TEXT COLLATE "C",
    agent TEXT COLLATE "C",
    -- The names of its sidecars, a space between them; null when it has none. In clear.
    sidecars TEXT COLLATE "C",
    -- Under legal hold since then; null when it is not.
    held_at BIGINT,
    -- 1 when its purge began, which nothing stops any more.
    purging BIGINT NOT NULL DEFAULT 0 CHECK (purging IN (0, 1)),
    CHECK ((state = 0) = (lease_until IS NOT NULL)),
    CHECK ((sealed = 1) = (fingerprint IS NOT NULL AND seal_id IS NOT NULL)),
    CHECK ((sealed = 0) = (digest IS NOT NULL AND exempt IS NOT NULL))
);

-- Pages of the catalogue, newest first, each at the cost of the first: of all of it, and of what is looked for.
CREATE INDEX recording_newest_first ON recording (listed_at DESC, id DESC);
CREATE INDEX recording_by_group ON recording (group_name, listed_at DESC, id DESC) WHERE group_name IS NOT NULL;
CREATE INDEX recording_by_agent ON recording (agent, listed_at DESC, id DESC) WHERE agent IS NOT NULL;
CREATE INDEX recording_not_complete ON recording (listed_at DESC, id DESC) WHERE state <> 2;

-- The age of every recording whose ID begins in one way, without a look at their rows: for callers who were granted
-- those alone.
CREATE INDEX recording_by_id ON recording (id, listed_at);

-- How many recordings need a key, and which, a page at a time.
CREATE INDEX recording_by_key ON recording (fingerprint, id) WHERE fingerprint IS NOT NULL;
CREATE INDEX recording_by_replacement_key ON recording (replacement_fingerprint, id)
WHERE replacement_fingerprint IS NOT NULL;

-- How many recordings lie in plain, and which; which lie in a proxy's spool.
CREATE INDEX recording_in_plain ON recording (exempt, id) WHERE sealed = 0;
CREATE INDEX recording_in_spool ON recording (spool, id) WHERE spool IS NOT NULL;

-- Words and tags by which recordings are found. In clear.
CREATE TABLE recording_term (
    -- 0 a tag, as it is; 1 a word of any field, in small letters.
    kind BIGINT NOT NULL CHECK (kind IN (0, 1)),
    term TEXT COLLATE "C" NOT NULL,
    -- Of the recording.
    listed_at BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, term, listed_at, id)
);
CREATE INDEX recording_term_by_id ON recording_term (id, kind, term);

-- What lies beside a recording's media: its metadata, and sidecars that came with it.
CREATE TABLE companion (
    -- The recording.
    id TEXT COLLATE "C" NOT NULL,
    -- The name of a sidecar; empty for the metadata. In clear.
    name TEXT COLLATE "C" NOT NULL,
    -- Which object counts: the name of its sealing; of a plain one a random name. 16 bytes.
    version BYTEA NOT NULL CHECK (length(version) = 16),
    -- Of its content. In clear.
    media_type TEXT COLLATE "C" NOT NULL,
    -- Bytes of content.
    content_len BIGINT NOT NULL CHECK (content_len >= 0),
    -- Sealed: the database key that wraps its file key.
    fingerprint BYTEA CHECK (length(fingerprint) = 32),
    -- Plain: SHA-256 of its content.
    digest BYTEA CHECK (length(digest) = 32),
    PRIMARY KEY (id, name),
    CHECK ((fingerprint IS NULL) <> (digest IS NULL))
);

-- How many recordings need a key for what lies beside them, and which.
CREATE INDEX companion_by_key ON companion (fingerprint, id, name) WHERE fingerprint IS NOT NULL;

-- Plain files whose recordings are sealed, and which are to go. A row comes in the transaction that says that the
-- recording is sealed, and goes when the file is gone.
CREATE TABLE plain_left (
    -- In the order in which they came.
    number BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The recording, which may be gone by now.
    id TEXT COLLATE "C" NOT NULL,
    -- The URL of the file; empty when it is in the media store, where the ID finds it. In clear.
    location TEXT COLLATE "C" NOT NULL,
    -- 1 when it lies there under the name of one that grows.
    is_part BIGINT NOT NULL CHECK (is_part IN (0, 1)),
    -- Bytes.
    len BIGINT NOT NULL CHECK (len >= 0),
    -- SHA-256 of what was sealed: a file that is another one by now stays.
    digest BYTEA NOT NULL CHECK (length(digest) = 32),
    UNIQUE (id, location, digest)
);

-- Every server that remembers keys or rows is told when they change, whoever changes them. One word a transaction.
CREATE FUNCTION sealtape_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sealtape', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON database_key
FOR EACH STATEMENT EXECUTE FUNCTION sealtape_tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON setting
FOR EACH STATEMENT EXECUTE FUNCTION sealtape_tell();
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON companion
FOR EACH STATEMENT EXECUTE FUNCTION sealtape_tell();
CREATE TRIGGER tell AFTER UPDATE OR DELETE OR TRUNCATE ON recording
FOR EACH STATEMENT EXECUTE FUNCTION sealtape_tell();
-- Nobody remembers that a recording is not there, so new ones are not told of: transactions that tell commit one after
-- the other, and an archive takes in most when it is busiest. One in plain is, for its number is remembered.
CREATE TRIGGER tell_of_plain AFTER INSERT ON recording
FOR EACH ROW WHEN (NEW.sealed = 0) EXECUTE FUNCTION sealtape_tell();
