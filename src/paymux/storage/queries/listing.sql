-- What every list needs to know before it is asked.

-- name: installations
SELECT uuid FROM installation WHERE status = 'INSTALLED';
