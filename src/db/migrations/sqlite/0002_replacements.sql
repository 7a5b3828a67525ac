-- Recordings on their way to another key: by a header that takes the old one's place in the same file, or by another
-- file. Whatever takes a place is in the row, durably, before a byte of the file changes.

-- The database key that the replacement needs; the recording needs both while it is under way.
ALTER TABLE recording ADD COLUMN replacement_fingerprint BLOB CHECK (length(replacement_fingerprint) = 32);

-- The header that is being written in place of the file's: a reader that meets half of it reads it here. In clear.
ALTER TABLE recording ADD COLUMN replacement_header BLOB CHECK (length(replacement_header) = 512);

-- How many recordings need a key, and which.
CREATE INDEX recording_by_replacement_key ON recording (replacement_fingerprint)
WHERE replacement_fingerprint IS NOT NULL;

-- `setting` has a second name from here on: 'reseal', while a run that seals every recording again has not come to its
-- end; its value is when that began, in Unix milliseconds, and under which key it seals.
