-- +goose Up
-- What Meta's limits are and how far they are used: where a number's rate was learnt, whose
-- portfolio an account belongs to, whom a portfolio reached in the last day, and what a
-- row of the outbox waits for. New columns may be absent or have a default: code of
-- before runs with them.

ALTER TABLE outbox_events ADD COLUMN wait_reason text;

-- +goose Down
ALTER TABLE outbox_events DROP COLUMN wait_reason;
