-- +goose Up
-- Partitions are made beside what is running, and statuses that nothing was ever sent for
-- go after a week. Functions and rights only: code of before runs with it.

-- +goose StatementBegin
-- Makes the month's partitions (yyyymm). Idempotent; callable by the application, which may
-- not create tables itself. The table is made by itself and attached: made as a partition it
-- would wait for every transaction that reads or writes messages, and all others for it.
-- Attaching waits for who changes campaigns: call it in a transaction of its own.
CREATE OR REPLACE FUNCTION message_partitions_ensure(p_month integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_parent text;
    v_table  text;
BEGIN
    IF p_month NOT BETWEEN 202601 AND 299912 OR p_month % 100 NOT BETWEEN 1 AND 12 THEN
        RAISE EXCEPTION 'month % is not yyyymm', p_month USING ERRCODE = '22023';
    END IF;
    IF to_regclass('message_logs_' || p_month) IS NOT NULL AND to_regclass('message_attempts_' || p_month) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('message_partitions'), p_month);
    FOREACH v_parent IN ARRAY ARRAY['message_logs', 'message_attempts'] LOOP
        v_table := v_parent || '_' || p_month;
        IF to_regclass(format('%I', v_table)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (fillfactor = %s)',
                v_table, v_parent, CASE v_parent WHEN 'message_attempts' THEN 60 ELSE 95 END);
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', v_table);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', v_table);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', v_parent, v_table, p_month);
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd

-- The relay may forget statuses without a message that are older than a week, and sees no
-- younger one.
CREATE POLICY relay_age ON orphan_statuses FOR SELECT TO kloyst_relay USING (received_at < now() - interval '7 days');
CREATE POLICY relay_forget ON orphan_statuses FOR DELETE TO kloyst_relay USING (received_at < now() - interval '7 days');
GRANT SELECT (received_at), DELETE ON orphan_statuses TO kloyst_relay;

-- +goose Down
-- The function serves the same calls; there is nothing to take back.
REVOKE SELECT (received_at), DELETE ON orphan_statuses FROM kloyst_relay;
DROP POLICY relay_age ON orphan_statuses;
DROP POLICY relay_forget ON orphan_statuses;
