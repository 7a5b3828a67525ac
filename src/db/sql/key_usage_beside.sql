SELECT companion.fingerprint, COUNT(DISTINCT companion.id)
FROM companion
JOIN recording ON recording.id = companion.id
WHERE companion.fingerprint IS NOT NULL
    AND recording.fingerprint IS DISTINCT FROM companion.fingerprint
    AND recording.replacement_fingerprint IS DISTINCT FROM companion.fingerprint
GROUP BY companion.fingerprint
