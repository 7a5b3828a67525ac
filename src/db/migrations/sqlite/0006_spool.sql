-- Where media waits that is not in the media store yet.

-- The URL of the proxy in whose spool the media of a recording lies, until it is in the store; null when it is there. In
-- clear.
ALTER TABLE recording ADD COLUMN spool TEXT CHECK (spool <> '');

CREATE INDEX recording_in_spool ON recording (spool, id) WHERE spool IS NOT NULL;
