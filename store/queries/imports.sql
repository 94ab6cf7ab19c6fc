-- name: ImportLockFile
-- Two uploads of one file at once must not both find that there was none before.
SELECT pg_advisory_xact_lock(hashtextextended(@vendor_id::text || encode(@sha256::bytea, 'hex'), 0));

-- name: ImportEarlierOfFile
-- An import that failed or was cancelled does not stand in the way of another try.
SELECT id FROM contact_import_jobs
WHERE vendor_id = @vendor_id AND sha256 = @sha256 AND status NOT IN ('FAILED', 'CANCELLED')
ORDER BY created_at DESC LIMIT 1;

-- name: ImportInsert
INSERT INTO contact_import_jobs (vendor_id, id, status, file_name, file_key, file_bytes, sha256, mime_type, strategy,
                                 default_region, created_by)
SELECT v.vendor_id, @id::uuid, 'UPLOADED', @file_name::text, @file_key::text, @file_bytes::bigint, @sha256::bytea, @mime_type::text,
       @strategy::text, COALESCE(NULLIF(@default_region::text, ''), v.default_region), @created_by::uuid
FROM vendors v WHERE v.vendor_id = @vendor_id;

-- name: ImportEnqueue
-- The doorbell of this import's workflow, in the transaction that changed the row.
SELECT outbox_enqueue(@vendor_id, @kind, @id::text);

-- name: ImportRefusalInsert
INSERT INTO contact_audit_logs (vendor_id, import_id, action, fields, after_ct, actor)
VALUES (@vendor_id, @id, 'UPLOAD_REFUSED', @fields, @after_ct, @actor);

-- name: ImportByID
SELECT j.id, j.status, j.file_name, j.file_key, j.data_key, j.file_bytes, j.sha256, j.mime_type, j.strategy, j.default_region,
       j.encoding, j.delimiter, j.has_header, j.headers, j.sample_ct, j.suggested, j.mapping, j.version, j.rows_total,
       s.created, s.updated, s.unchanged, s.duplicate, s.invalid, s.suppressed,
       j.reason_code, j.reason, j.created_by, j.created_at, j.updated_at, j.started_at, j.finished_at
FROM contact_import_jobs j
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(c.created_count), 0) AS created, COALESCE(sum(c.updated_count), 0) AS updated,
           COALESCE(sum(c.unchanged_count), 0) AS unchanged, COALESCE(sum(c.duplicate_count), 0) AS duplicate,
           COALESCE(sum(c.invalid_count), 0) AS invalid, COALESCE(sum(c.suppressed_count), 0) AS suppressed
    FROM contact_import_chunks c WHERE c.vendor_id = j.vendor_id AND c.import_id = j.id) s
WHERE j.vendor_id = @vendor_id AND j.id = @id;

-- name: ImportList
-- Newest first; ids are made in the order of time. The sample stays behind.
SELECT j.id, j.status, j.file_name, j.file_key, j.data_key, j.file_bytes, j.sha256, j.mime_type, j.strategy, j.default_region,
       j.encoding, j.delimiter, j.has_header, j.headers, NULL::bytea AS sample_ct, j.suggested, j.mapping, j.version, j.rows_total,
       s.created, s.updated, s.unchanged, s.duplicate, s.invalid, s.suppressed,
       j.reason_code, j.reason, j.created_by, j.created_at, j.updated_at, j.started_at, j.finished_at
FROM contact_import_jobs j
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(c.created_count), 0) AS created, COALESCE(sum(c.updated_count), 0) AS updated,
           COALESCE(sum(c.unchanged_count), 0) AS unchanged, COALESCE(sum(c.duplicate_count), 0) AS duplicate,
           COALESCE(sum(c.invalid_count), 0) AS invalid, COALESCE(sum(c.suppressed_count), 0) AS suppressed
    FROM contact_import_chunks c WHERE c.vendor_id = j.vendor_id AND c.import_id = j.id) s
WHERE j.vendor_id = @vendor_id AND (@before::uuid IS NULL OR j.id < @before) AND (@status::text = '' OR j.status = @status)
  AND (@made_from::timestamptz IS NULL OR j.created_at >= @made_from) AND (@made_to::timestamptz IS NULL OR j.created_at < @made_to)
  AND (@file_name::text = '' OR position(lower(@file_name) IN lower(j.file_name)) > 0)
ORDER BY j.id DESC LIMIT @limit;

-- name: ImportProgress
SELECT j.status, COALESCE(j.reason_code, '') AS reason_code, COALESCE(j.reason, '') AS reason, j.version,
       COALESCE(j.rows_total, 0) AS rows_total,
       COALESCE(EXTRACT(EPOCH FROM COALESCE(j.finished_at, now()) - j.started_at), 0)::float8 AS elapsed,
       s.created, s.updated, s.unchanged, s.duplicate, s.invalid, s.suppressed, s.recent
FROM contact_import_jobs j
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(c.created_count), 0) AS created, COALESCE(sum(c.updated_count), 0) AS updated,
           COALESCE(sum(c.unchanged_count), 0) AS unchanged, COALESCE(sum(c.duplicate_count), 0) AS duplicate,
           COALESCE(sum(c.invalid_count), 0) AS invalid, COALESCE(sum(c.suppressed_count), 0) AS suppressed,
           COALESCE(sum(c.row_count) FILTER (WHERE c.finished_at > now() - make_interval(secs => @window::float8)), 0) AS recent
    FROM contact_import_chunks c WHERE c.vendor_id = j.vendor_id AND c.import_id = j.id) s
WHERE j.vendor_id = @vendor_id AND j.id = @id;

-- name: ImportLock
SELECT status, headers FROM contact_import_jobs WHERE vendor_id = @vendor_id AND id = @id FOR UPDATE;

-- name: ImportMove
UPDATE contact_import_jobs
SET status = @status, reason_code = NULLIF(@reason_code::text, ''), reason = NULLIF(@reason::text, ''),
    retry_mode = NULL, version = version + 1, updated_at = now(),
    started_at = CASE WHEN @status = 'PROCESSING' THEN COALESCE(started_at, now()) ELSE started_at END,
    finished_at = CASE WHEN @status IN ('COMPLETED', 'PARTIAL_SUCCESS', 'FAILED', 'CANCELLED') THEN now() END
WHERE vendor_id = @vendor_id AND id = @id
RETURNING version;

-- name: ImportRetryUpdate
UPDATE contact_import_jobs SET retry_mode = @mode, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: ImportRetryMode
SELECT COALESCE(retry_mode, '') FROM contact_import_jobs WHERE vendor_id = @vendor_id AND id = @id;

-- name: ChunkFailedExists
SELECT EXISTS (SELECT FROM contact_import_chunks WHERE vendor_id = @vendor_id AND import_id = @id AND status = 'FAILED');

-- name: ImportHeadersUpdate
UPDATE contact_import_jobs
SET status = 'HEADERS_EXTRACTED', data_key = @data_key, encoding = @encoding, delimiter = @delimiter, has_header = @has_header,
    headers = @headers, sample_ct = @sample_ct, suggested = @suggested, rows_total = @rows_total,
    reason_code = NULL, reason = NULL, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: ImportMappingUpdate
UPDATE contact_import_jobs
SET status = 'MAPPING_CONFIRMED', mapping = @mapping, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: ImportCountsUpdate
-- Once all chunks are counted the sums are kept with the job: chunks may be dropped later.
UPDATE contact_import_jobs j
SET created_count = s.created, updated_count = s.updated, unchanged_count = s.unchanged,
    duplicate_count = s.duplicate, invalid_count = s.invalid, suppressed_count = s.suppressed
FROM (
    SELECT COALESCE(sum(c.created_count), 0) AS created, COALESCE(sum(c.updated_count), 0) AS updated,
           COALESCE(sum(c.unchanged_count), 0) AS unchanged, COALESCE(sum(c.duplicate_count), 0) AS duplicate,
           COALESCE(sum(c.invalid_count), 0) AS invalid, COALESCE(sum(c.suppressed_count), 0) AS suppressed,
           count(*) FILTER (WHERE c.status IN ('PENDING', 'FAILED')) AS open
    FROM contact_import_chunks c WHERE c.vendor_id = @vendor_id AND c.import_id = @id) s
WHERE j.vendor_id = @vendor_id AND j.id = @id
RETURNING j.created_count, j.updated_count, j.unchanged_count, j.duplicate_count, j.invalid_count, j.suppressed_count, s.open;

-- name: ChunkDeleteAll
DELETE FROM contact_import_chunks WHERE vendor_id = @vendor_id AND import_id = @id;

-- name: ChunkInsertAll
INSERT INTO contact_import_chunks (vendor_id, import_id, chunk_no, first_row, row_count, byte_from, byte_to)
SELECT @vendor_id::uuid, @id::uuid, t.chunk_no, t.first_row, t.row_count, t.byte_from, t.byte_to
FROM unnest(@chunk_no::integer[], @first_row::integer[], @row_count::integer[], @byte_from::bigint[], @byte_to::bigint[])
    AS t(chunk_no, first_row, row_count, byte_from, byte_to);

-- name: ChunkList
SELECT chunk_no, first_row, row_count, byte_from, byte_to, status, created_count, updated_count, unchanged_count,
       duplicate_count, invalid_count, suppressed_count, COALESCE(errors_key, '') AS errors_key, COALESCE(reason_code, '') AS reason_code
FROM contact_import_chunks WHERE vendor_id = @vendor_id AND import_id = @id ORDER BY chunk_no;

-- name: ChunkByNo
SELECT chunk_no, first_row, row_count, byte_from, byte_to, status, created_count, updated_count, unchanged_count,
       duplicate_count, invalid_count, suppressed_count, COALESCE(errors_key, '') AS errors_key, COALESCE(reason_code, '') AS reason_code
FROM contact_import_chunks WHERE vendor_id = @vendor_id AND import_id = @id AND chunk_no = @chunk_no;

-- name: ChunkLock
-- The job's row is locked shared: a cancel waits for the chunks that are being written
-- and stops all later ones.
SELECT c.chunk_no, c.first_row, c.row_count, c.byte_from, c.byte_to, c.status, c.created_count, c.updated_count, c.unchanged_count,
       c.duplicate_count, c.invalid_count, c.suppressed_count, COALESCE(c.errors_key, '') AS errors_key,
       COALESCE(c.reason_code, '') AS reason_code, j.status AS job_status
FROM contact_import_chunks c JOIN contact_import_jobs j ON j.vendor_id = c.vendor_id AND j.id = c.import_id
WHERE c.vendor_id = @vendor_id AND c.import_id = @id AND c.chunk_no = @chunk_no
FOR UPDATE OF c FOR SHARE OF j;

-- name: ChunkFinish
UPDATE contact_import_chunks
SET status = @status, created_count = @created, updated_count = @updated, unchanged_count = @unchanged,
    duplicate_count = @duplicate, invalid_count = @invalid, suppressed_count = @suppressed,
    errors_key = NULLIF(@errors_key::text, ''), reason_code = NULLIF(@reason_code::text, ''), finished_at = now()
WHERE vendor_id = @vendor_id AND import_id = @id AND chunk_no = @chunk_no;

-- name: ChunkFail
-- Only for the eye: the chunk stays to be done.
UPDATE contact_import_chunks SET status = 'FAILED', reason_code = @reason_code
WHERE vendor_id = @vendor_id AND import_id = @id AND chunk_no = @chunk_no AND status IN ('PENDING', 'FAILED');
