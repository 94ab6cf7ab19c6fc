-- +goose Up
-- What the relay's reconciler asks: which campaigns, imports and documents are not over,
-- and must have a workflow that lives. It learns ids and states, nothing of people or money.
-- The indexes hold open work only: they stay small however much there was.
CREATE INDEX campaigns_open_idx ON campaigns (id)
    WHERE finished_at IS NULL AND status IN ('APPROVED', 'SCHEDULED', 'PREPARING', 'RUNNING', 'PAUSED', 'HALTED', 'CANCELLED');
CREATE INDEX contact_import_jobs_open_idx ON contact_import_jobs (id) WHERE finished_at IS NULL;
CREATE INDEX quotations_pdf_open_idx ON quotations (id) WHERE pdf_status IN ('PENDING', 'GENERATING');
CREATE INDEX settlements_created_idx ON settlements (created_at);

CREATE POLICY relay_reconcile ON campaigns FOR SELECT TO kloyst_relay USING (true);
CREATE POLICY relay_reconcile ON contact_import_jobs FOR SELECT TO kloyst_relay USING (true);
CREATE POLICY relay_reconcile ON quotations FOR SELECT TO kloyst_relay USING (true);
CREATE POLICY relay_reconcile ON settlements FOR SELECT TO kloyst_relay USING (true);
GRANT SELECT (vendor_id, id, status, updated_at, finished_at) ON campaigns TO kloyst_relay;
GRANT SELECT (vendor_id, id, updated_at, finished_at) ON contact_import_jobs TO kloyst_relay;
GRANT SELECT (vendor_id, id, pdf_status, created_at) ON quotations TO kloyst_relay;
GRANT SELECT (vendor_id, campaign_id, created_at) ON settlements TO kloyst_relay;

-- +goose Down
REVOKE SELECT (vendor_id, id, status, updated_at, finished_at) ON campaigns FROM kloyst_relay;
REVOKE SELECT (vendor_id, id, updated_at, finished_at) ON contact_import_jobs FROM kloyst_relay;
REVOKE SELECT (vendor_id, id, pdf_status, created_at) ON quotations FROM kloyst_relay;
REVOKE SELECT (vendor_id, campaign_id, created_at) ON settlements FROM kloyst_relay;
DROP POLICY relay_reconcile ON campaigns;
DROP POLICY relay_reconcile ON contact_import_jobs;
DROP POLICY relay_reconcile ON quotations;
DROP POLICY relay_reconcile ON settlements;
DROP INDEX campaigns_open_idx, contact_import_jobs_open_idx, quotations_pdf_open_idx, settlements_created_idx;
