SELECT fingerprint, count(*) FROM (
    SELECT fingerprint FROM recording WHERE fingerprint IS NOT NULL
    UNION ALL
    SELECT replacement_fingerprint FROM recording
    WHERE replacement_fingerprint IS NOT NULL AND replacement_fingerprint <> fingerprint
) AS need
GROUP BY fingerprint
