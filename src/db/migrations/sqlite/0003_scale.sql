-- What a page and a count cost in a catalogue of millions.

-- The recordings of a key by ID, a page at a time: the old index knew which they are, and not in which order.
DROP INDEX recording_by_key;
CREATE INDEX recording_by_key ON recording (fingerprint, id) WHERE fingerprint IS NOT NULL;
DROP INDEX recording_by_replacement_key;
CREATE INDEX recording_by_replacement_key ON recording (replacement_fingerprint, id)
WHERE replacement_fingerprint IS NOT NULL;

-- The age of every recording whose ID begins in one way, without a look at their rows: for callers who were granted
-- those alone.
CREATE INDEX recording_by_id ON recording (id, created_at);
