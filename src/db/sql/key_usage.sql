SELECT fingerprint, count(*) FROM recording WHERE fingerprint IS NOT NULL GROUP BY fingerprint
