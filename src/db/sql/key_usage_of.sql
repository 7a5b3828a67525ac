SELECT
    (SELECT count(*) FROM recording WHERE fingerprint = $1)
    + (SELECT count(*) FROM recording WHERE replacement_fingerprint = $1 AND fingerprint <> $1)
    + (
        SELECT count(DISTINCT companion.id) FROM companion
        JOIN recording ON recording.id = companion.id
        WHERE companion.fingerprint = $1
            AND recording.fingerprint IS DISTINCT FROM $1
            AND recording.replacement_fingerprint IS DISTINCT FROM $1
    )
