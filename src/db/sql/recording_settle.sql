UPDATE recording
SET media_len = $2, state = $3, mended = $4, sealed = $5, fingerprint = $6, seal_id = $7, replacement_seal_id = $8,
    replacement_fingerprint = $9, replacement_header = $10, digest = $11, exempt = $12
WHERE id = $1 AND state <> 0 AND purging = 0 AND sealed = $13
    AND fingerprint IS NOT DISTINCT FROM $14 AND seal_id IS NOT DISTINCT FROM $15
    AND replacement_seal_id IS NOT DISTINCT FROM $16 AND replacement_fingerprint IS NOT DISTINCT FROM $17
    AND replacement_header IS NOT DISTINCT FROM $18 AND digest IS NOT DISTINCT FROM $19
