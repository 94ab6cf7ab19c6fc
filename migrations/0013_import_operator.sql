-- +goose Up
-- What an operator asked of a parked import through the API; the workflow reads it when it is
-- rung, and every move of the import clears it.
ALTER TABLE contact_import_jobs ADD COLUMN retry_mode text
    CONSTRAINT contact_import_jobs_retry_mode_check CHECK (retry_mode IN ('resume', 'skip_chunk', 'restart'));

-- +goose Down
ALTER TABLE contact_import_jobs DROP COLUMN retry_mode;
