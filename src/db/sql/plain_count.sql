SELECT
    (SELECT count(*) FROM recording WHERE sealed = 0 AND exempt = 1),
    (SELECT count(*) FROM recording WHERE sealed = 0 AND exempt = 0),
    (SELECT count(*) FROM plain_left)
