UPDATE recording
SET sealed = $2, fingerprint = $3, seal_id = $4, replacement_seal_id = $5, replacement_fingerprint = $6,
    replacement_header = $7, digest = $8, exempt = $9
WHERE id = $1 AND state <> 0 AND purging = 0 AND sealed = $10
    AND fingerprint IS NOT DISTINCT FROM $11 AND seal_id IS NOT DISTINCT FROM $12
    AND replacement_seal_id IS NOT DISTINCT FROM $13 AND replacement_fingerprint IS NOT DISTINCT FROM $14
    AND replacement_header IS NOT DISTINCT FROM $15
