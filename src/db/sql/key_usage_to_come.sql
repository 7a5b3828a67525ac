SELECT replacement_fingerprint, count(*) FROM recording
WHERE replacement_fingerprint IS NOT NULL AND replacement_fingerprint <> fingerprint
GROUP BY replacement_fingerprint
