-- +goose Up
-- Dead letters go out again as campaigns of a kind of their own, with a hold of their own.
-- All new columns may be absent or have a default: code of before runs with them.

ALTER TABLE campaigns
    ADD COLUMN kind text NOT NULL DEFAULT 'CAMPAIGN' CONSTRAINT campaigns_kind_check CHECK (kind IN ('CAMPAIGN', 'REPLAY', 'SINGLE')),
    ADD COLUMN parent_id uuid,              -- REPLAY: whose messages failed
    ADD COLUMN replay_rate integer CHECK (replay_rate > 0), -- REPLAY: messages a second; null: the number's pace
    ADD CONSTRAINT campaigns_parent_fkey FOREIGN KEY (vendor_id, parent_id) REFERENCES campaigns,
    ADD CONSTRAINT campaigns_parent_check CHECK ((kind = 'REPLAY') = (parent_id IS NOT NULL));

-- The message of a replay has the recipient hash of the one that failed: campaign and hash
-- find either from the other, and the busy tables carry no link.
ALTER TABLE dead_letters ADD COLUMN replay_campaign_id uuid;
-- Pages go by time and id: a batch's letters share their time.
DROP INDEX dead_letters_created_idx;
CREATE INDEX dead_letters_created_idx ON dead_letters (vendor_id, created_at, id);
CREATE INDEX dead_letters_replay_idx ON dead_letters (replay_campaign_id, id) WHERE replay_campaign_id IS NOT NULL;
CREATE INDEX dead_letters_campaign_idx ON dead_letters (campaign_id, created_at, id);
CREATE INDEX dead_letters_subject_idx ON dead_letters (subject_id, event_kind, created_at) WHERE source = 'EVENT';

-- Letters with whether they come from a replay that failed again: a message of a REPLAY
-- campaign, or an event that was put back before.
CREATE VIEW dead_letter_states WITH (security_invoker = true) AS
SELECT l.vendor_id, l.id, l.source, l.campaign_id, l.message_id, l.attempt, l.month, l.event_kind, l.subject_id, l.cause_class,
       COALESCE(l.code, 0) AS code, l.reason, l.created_at, l.replayed_at, l.replay_campaign_id,
       CASE l.source
           WHEN 'MESSAGE' THEN EXISTS (SELECT 1 FROM campaigns c WHERE c.vendor_id = l.vendor_id AND c.id = l.campaign_id AND c.kind = 'REPLAY')
           ELSE EXISTS (SELECT 1 FROM dead_letters b WHERE b.vendor_id = l.vendor_id AND b.source = 'EVENT' AND b.subject_id = l.subject_id
                        AND b.event_kind = l.event_kind AND b.created_at < l.created_at AND b.replayed_at IS NOT NULL)
       END AS from_replay
FROM dead_letters l;
GRANT SELECT ON dead_letter_states TO kloyst_app, kloyst_operator;

-- +goose StatementBegin
-- How many other vendors' turns are due before p_before, at most a thousand: a count, and
-- never who. A vendor asks why its own campaign waits.
CREATE FUNCTION outbox_rivals(p_before timestamptz) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*)::integer FROM (
        SELECT 1 FROM outbox_turns t WHERE t.wake_at < LEAST(p_before, clock_timestamp()) AND t.vendor_id <> current_vendor() LIMIT 1000) x;
$$;
-- +goose StatementEnd
CREATE POLICY rivals_count ON outbox_turns FOR SELECT TO kloyst_owner USING (true);
REVOKE ALL ON FUNCTION outbox_rivals(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_rivals(timestamptz) TO kloyst_app, kloyst_operator;

-- +goose Down
DROP FUNCTION outbox_rivals(timestamptz);
DROP POLICY rivals_count ON outbox_turns;
DROP VIEW dead_letter_states;
DROP INDEX dead_letters_replay_idx, dead_letters_campaign_idx, dead_letters_subject_idx, dead_letters_created_idx;
CREATE INDEX dead_letters_created_idx ON dead_letters (vendor_id, created_at);
ALTER TABLE dead_letters DROP COLUMN replay_campaign_id;
ALTER TABLE campaigns DROP CONSTRAINT campaigns_parent_check, DROP CONSTRAINT campaigns_parent_fkey, DROP COLUMN kind,
    DROP COLUMN parent_id, DROP COLUMN replay_rate;
