SELECT
    (SELECT count(*) FROM recording WHERE fingerprint = $1)
    + (SELECT count(*) FROM recording WHERE replacement_fingerprint = $1 AND fingerprint <> $1)
