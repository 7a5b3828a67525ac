SELECT count(*) FROM recording WHERE fingerprint = $1 OR replacement_fingerprint = $1
