-- Recordings that lie in plain: where, how many, and what is to go once they are sealed.

-- Plain: the URL of the file when it was catalogued where it lies; null when it is in the media store. In clear.
ALTER TABLE recording ADD COLUMN location TEXT CHECK (location <> '');

-- How many recordings lie in plain, and which: of a catalogue in which few do, this is small.
CREATE INDEX recording_in_plain ON recording (exempt, id) WHERE sealed = 0;

-- Plain files whose recordings are sealed, and which are to go. A row comes in the transaction that says that the
-- recording is sealed, and goes when the file is gone.
CREATE TABLE plain_left (
    -- In the order in which they came.
    number INTEGER NOT NULL PRIMARY KEY,
    -- The recording, which may be gone by now.
    id TEXT NOT NULL,
    -- The URL of the file; empty when it is in the media store, where the ID finds it. In clear.
    location TEXT NOT NULL,
    -- 1 when it lies there under the name of one that grows.
    is_part INTEGER NOT NULL CHECK (is_part IN (0, 1)),
    -- Bytes.
    len INTEGER NOT NULL CHECK (len >= 0),
    -- SHA-256 of what was sealed: a file that is another one by now stays.
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    UNIQUE (id, location, digest)
) STRICT;
