-- What is known about recordings, what lies beside them, and what keeps them from going or lets them go.

-- By what listings are in order: when it was recorded, as its metadata says, else `created_at`. Unix milliseconds.
ALTER TABLE recording ADD COLUMN listed_at INTEGER NOT NULL DEFAULT 0 CHECK (listed_at >= 0);
-- What of its metadata may lie here in clear (`[encryption] index`): a JSON object; null when nothing.
ALTER TABLE recording ADD COLUMN metadata TEXT;
-- Of the metadata, to look for: the group, and the agent. In clear.
ALTER TABLE recording ADD COLUMN group_name TEXT;
ALTER TABLE recording ADD COLUMN agent TEXT;
-- The names of its sidecars, a space between them; null when it has none. In clear.
ALTER TABLE recording ADD COLUMN sidecars TEXT;
-- Under legal hold since then; null when it is not.
ALTER TABLE recording ADD COLUMN held_at INTEGER;
-- 1 when its purge began, which nothing stops any more.
ALTER TABLE recording ADD COLUMN purging INTEGER NOT NULL DEFAULT 0 CHECK (purging IN (0, 1));

UPDATE recording SET listed_at = created_at;

-- Pages of the catalogue, newest first, each at the cost of the first: of all of it, and of what is looked for.
DROP INDEX recording_newest_first;
CREATE INDEX recording_newest_first ON recording (listed_at DESC, id DESC);
CREATE INDEX recording_by_group ON recording (group_name, listed_at DESC, id DESC) WHERE group_name IS NOT NULL;
CREATE INDEX recording_by_agent ON recording (agent, listed_at DESC, id DESC) WHERE agent IS NOT NULL;
CREATE INDEX recording_not_complete ON recording (listed_at DESC, id DESC) WHERE state <> 2;
DROP INDEX recording_by_id;
CREATE INDEX recording_by_id ON recording (id, listed_at);

-- Words and tags by which recordings are found. In clear.
CREATE TABLE recording_term (
    -- 0 a tag, as it is; 1 a word of any field, in small letters.
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    term TEXT NOT NULL,
    -- Of the recording.
    listed_at INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (kind, term, listed_at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX recording_term_by_id ON recording_term (id, kind, term);

-- What lies beside a recording's media: its metadata, and sidecars that came with it.
CREATE TABLE companion (
    -- The recording.
    id TEXT NOT NULL,
    -- The name of a sidecar; empty for the metadata. In clear.
    name TEXT NOT NULL,
    -- Which object counts: the name of its sealing; of a plain one a random name. 16 bytes.
    version BLOB NOT NULL CHECK (length(version) = 16),
    -- Of its content. In clear.
    media_type TEXT NOT NULL,
    -- Bytes of content.
    content_len INTEGER NOT NULL CHECK (content_len >= 0),
    -- Sealed: the database key that wraps its file key.
    fingerprint BLOB CHECK (length(fingerprint) = 32),
    -- Plain: SHA-256 of its content.
    digest BLOB CHECK (length(digest) = 32),
    PRIMARY KEY (id, name),
    CHECK ((fingerprint IS NULL) <> (digest IS NULL))
) STRICT, WITHOUT ROWID;

-- How many recordings need a key for what lies beside them, and which.
CREATE INDEX companion_by_key ON companion (fingerprint, id, name) WHERE fingerprint IS NOT NULL;
