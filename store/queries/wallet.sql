-- name: WalletByVendor
-- What can be spent, and what all campaigns together hold.
SELECT w.currency,
       COALESCE((SELECT a.balance_micros FROM ledger_accounts a WHERE a.vendor_id = w.vendor_id AND a.kind = 'WALLET'), 0)::bigint AS balance_micros,
       COALESCE((SELECT sum(a.balance_micros) FROM ledger_accounts a WHERE a.vendor_id = w.vendor_id AND a.kind = 'HOLD'), 0)::bigint AS held_micros,
       w.low_balance_micros, w.low_since, w.alerted_at
FROM wallets w WHERE w.vendor_id = @vendor_id;

-- name: LedgerTransactionsInsert
-- Each reference once; sorted, so that two writers of the same references wait for each
-- other instead of locking each other out.
INSERT INTO ledger_transactions (vendor_id, id, kind, reference, campaign_id, actor, reason)
SELECT @vendor_id, p.id, p.kind, p.reference, p.campaign_id, p.actor, NULLIF(p.reason, '')
FROM unnest(@ids::uuid[], @kinds::text[], @refs::text[], @campaigns::uuid[], @actors::text[], @reasons::text[])
    AS p(id, kind, reference, campaign_id, actor, reason)
ORDER BY p.reference
ON CONFLICT (vendor_id, reference) DO NOTHING
RETURNING reference;

-- name: LedgerTransactionsByReference
-- What earlier postings of these references were.
SELECT t.reference, t.kind, t.campaign_id,
       (SELECT sum(e.amount_micros) FROM ledger_entries e JOIN ledger_accounts a ON a.vendor_id = e.vendor_id AND a.id = e.account_id
        WHERE e.vendor_id = t.vendor_id AND e.transaction_id = t.id AND e.amount_micros > 0)::bigint AS amount_micros
FROM ledger_transactions t
WHERE t.vendor_id = @vendor_id AND t.reference = ANY(@refs::text[]);

-- name: LedgerAccountsLock
-- Accounts are always locked in primary-key order, all of a transaction's at once.
SELECT a.id, a.kind, a.campaign_id, a.balance_micros
FROM ledger_accounts a
JOIN unnest(@kinds::text[], @campaigns::uuid[]) AS w(kind, campaign_id)
  ON a.kind = w.kind AND a.campaign_id IS NOT DISTINCT FROM w.campaign_id
WHERE a.vendor_id = @vendor_id
ORDER BY a.id FOR UPDATE OF a;

-- name: LedgerAccountsInsert
INSERT INTO ledger_accounts (vendor_id, id, kind, campaign_id, currency)
SELECT w.vendor_id, p.id, p.kind, p.campaign_id, w.currency
FROM wallets w, unnest(@ids::uuid[], @kinds::text[], @campaigns::uuid[]) AS p(id, kind, campaign_id)
WHERE w.vendor_id = @vendor_id
ORDER BY p.id
ON CONFLICT (vendor_id, kind, campaign_id) DO NOTHING;

-- name: LedgerPost
-- Entries alone: the balances follow by a trigger, which refuses what is not a posting.
INSERT INTO ledger_entries (vendor_id, transaction_id, line, account_id, amount_micros)
SELECT @vendor_id, e.transaction_id, e.line, e.account_id, e.amount_micros
FROM unnest(@transaction_ids::uuid[], @lines::smallint[], @account_ids::uuid[], @amounts::bigint[])
    AS e(transaction_id, line, account_id, amount_micros);

-- name: LedgerTransactionList
-- Newest first; ids are made in time order. amount is what the wallet itself gained or
-- lost, moved what went from one account to another.
SELECT t.id, t.kind, t.reference, t.campaign_id, t.actor, t.created_at,
       COALESCE(sum(e.amount_micros) FILTER (WHERE a.kind = 'WALLET'), 0)::bigint AS amount_micros,
       COALESCE(sum(e.amount_micros) FILTER (WHERE e.amount_micros > 0), 0)::bigint AS moved_micros
FROM (SELECT t.id, t.vendor_id, t.kind, t.reference, t.campaign_id, t.actor, t.created_at FROM ledger_transactions t
      WHERE t.vendor_id = @vendor_id AND (@before::uuid IS NULL OR t.id < @before::uuid)
        AND (@campaign_id::uuid IS NULL OR t.campaign_id = @campaign_id::uuid)
      ORDER BY t.id DESC LIMIT @max_rows) t
JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
JOIN ledger_accounts a ON a.vendor_id = e.vendor_id AND a.id = e.account_id
GROUP BY t.id, t.kind, t.reference, t.campaign_id, t.actor, t.created_at
ORDER BY t.id DESC;

-- name: LedgerByCampaign
-- What happened to one campaign's money, by kind of posting.
SELECT t.kind, sum(e.amount_micros)::bigint AS amount_micros
FROM ledger_transactions t JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
WHERE t.vendor_id = @vendor_id AND t.campaign_id = @campaign_id AND e.amount_micros > 0
GROUP BY t.kind;

-- name: LedgerReconcile
-- Every account's balance against its entries.
SELECT a.kind, a.campaign_id, a.balance_micros, COALESCE(sum(e.amount_micros), 0)::bigint AS entries_micros, c.finished_at IS NOT NULL AS finished
FROM ledger_accounts a
LEFT JOIN ledger_entries e ON e.vendor_id = a.vendor_id AND e.account_id = a.id
LEFT JOIN campaigns c ON c.vendor_id = a.vendor_id AND c.id = a.campaign_id
WHERE a.vendor_id = @vendor_id
GROUP BY a.id, a.kind, a.campaign_id, a.balance_micros, c.finished_at
ORDER BY a.id;

-- name: LedgerUnbalanced
-- Transactions whose entries do not add up to nothing, or that have none.
SELECT count(*) FROM (
    SELECT t.id FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
    WHERE t.vendor_id = @vendor_id GROUP BY t.id HAVING COALESCE(sum(e.amount_micros), 1) <> 0) x;

-- name: LedgerUncharged
-- What the ledger earned by sending, against what the messages say, by campaign. Lines of
-- the campaign as a whole are charged under a reference of their own. A message that was
-- delivered after its refund was earned once more, at the platform's loss, as soon as its
-- settlement is worked off.
SELECT COALESCE(sum(abs(x.ledger_micros - x.messages_micros)), 0)::bigint FROM (
    SELECT c.id,
           COALESCE((SELECT sum(CASE WHEN t.kind IN ('REFUND', 'RESTORE') THEN -e.amount_micros ELSE e.amount_micros END)
                     FROM ledger_transactions t JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
                     WHERE t.vendor_id = c.vendor_id AND t.campaign_id = c.id AND t.kind IN ('CAPTURE', 'REFUND', 'RESTORE', 'LOSS')
                       AND t.reference <> 'fees/' || c.id AND e.amount_micros > 0), 0) AS ledger_micros,
           COALESCE((SELECT sum(a.captured_micros - CASE WHEN a.status IN ('SENT', 'DELIVERED', 'READ') AND NOT EXISTS (
                                    SELECT 1 FROM settlements s WHERE s.vendor_id = a.vendor_id AND s.message_id = a.message_id
                                      AND s.attempt = a.attempt AND s.month = a.month)
                                THEN 0 ELSE a.refunded_micros END)
                     FROM message_attempts a
                     WHERE a.vendor_id = c.vendor_id AND a.month = c.month AND a.campaign_id = c.id), 0) AS messages_micros
    FROM campaigns c WHERE c.vendor_id = @vendor_id AND c.month IS NOT NULL) x;

-- name: StatementHead
-- Both balances at the period's ends, counted back from what they are: recent periods are
-- asked for most.
WITH moved AS (
    SELECT a.kind, t.created_at, t.id, e.amount_micros
    FROM ledger_transactions t
    JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
    JOIN ledger_accounts a ON a.vendor_id = e.vendor_id AND a.id = e.account_id
    WHERE t.vendor_id = @vendor_id AND t.created_at >= @from AND a.kind IN ('WALLET', 'HOLD')
)
SELECT v.name, v.time_zone, w.currency,
       (n.available - m.available)::bigint, (n.held - m.held)::bigint,
       (n.available - m.available_after)::bigint, (n.held - m.held_after)::bigint, m.entries
FROM wallets w JOIN vendors v ON v.vendor_id = w.vendor_id,
     (SELECT COALESCE(sum(balance_micros) FILTER (WHERE kind = 'WALLET'), 0) AS available,
             COALESCE(sum(balance_micros) FILTER (WHERE kind = 'HOLD'), 0) AS held
      FROM ledger_accounts WHERE vendor_id = @vendor_id) n,
     (SELECT COALESCE(sum(amount_micros) FILTER (WHERE kind = 'WALLET'), 0) AS available,
             COALESCE(sum(amount_micros) FILTER (WHERE kind = 'HOLD'), 0) AS held,
             COALESCE(sum(amount_micros) FILTER (WHERE kind = 'WALLET' AND created_at >= @until), 0) AS available_after,
             COALESCE(sum(amount_micros) FILTER (WHERE kind = 'HOLD' AND created_at >= @until), 0) AS held_after,
             count(DISTINCT id) FILTER (WHERE created_at < @until) AS entries
      FROM moved) m
WHERE w.vendor_id = @vendor_id;

-- name: StatementEntries
SELECT t.id, t.kind, t.reference, COALESCE(t.campaign_id::text, ''), COALESCE(c.name, ''), t.actor, COALESCE(t.reason, ''), t.created_at,
       x.available, x.held
FROM ledger_transactions t
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(e.amount_micros) FILTER (WHERE a.kind = 'WALLET'), 0)::bigint AS available,
           COALESCE(sum(e.amount_micros) FILTER (WHERE a.kind = 'HOLD'), 0)::bigint AS held
    FROM ledger_entries e JOIN ledger_accounts a ON a.vendor_id = e.vendor_id AND a.id = e.account_id
    WHERE e.vendor_id = t.vendor_id AND e.transaction_id = t.id) x
LEFT JOIN campaigns c ON c.vendor_id = t.vendor_id AND c.id = t.campaign_id
WHERE t.vendor_id = @vendor_id AND t.created_at >= @from AND t.created_at < @until AND (x.available <> 0 OR x.held <> 0)
ORDER BY t.created_at, t.id;

-- name: WalletThreshold
-- Under the lock of the wallet's account, if there is one: postings take it before they look
-- at the threshold.
UPDATE wallets w SET low_balance_micros = @threshold,
    low_since = CASE WHEN COALESCE((SELECT a.balance_micros FROM ledger_accounts a WHERE a.vendor_id = w.vendor_id AND a.kind = 'WALLET'), 0) < @threshold
                     THEN COALESCE(w.low_since, clock_timestamp()) END
WHERE w.vendor_id = @vendor_id;

-- name: WalletAlerted
-- Once a crossing: the alert of an earlier one ends nothing.
UPDATE wallets SET alerted_at = clock_timestamp() WHERE vendor_id = @vendor_id AND low_since = @low_since;

-- name: WalletAccountLock
SELECT id FROM ledger_accounts WHERE vendor_id = @vendor_id AND kind = 'WALLET' FOR UPDATE;

-- name: LedgerFees
-- Lines of finished campaigns as a whole: charged as they were quoted where anything was
-- charged before the books were closed, else not at all.
SELECT COALESCE(sum(abs(x.charged - CASE WHEN x.earned THEN x.quoted ELSE 0 END)), 0)::bigint FROM (
    SELECT COALESCE((SELECT e.amount_micros FROM ledger_transactions t JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
                     WHERE t.vendor_id = c.vendor_id AND t.reference = 'fees/' || c.id AND e.amount_micros > 0), 0) AS charged,
           COALESCE((SELECT sum(i.amount_micros) FROM quotation_items i
                     WHERE i.vendor_id = c.vendor_id AND i.quotation_id = c.quotation_id AND i.kind <> 'MESSAGES'), 0) AS quoted,
           EXISTS (SELECT 1 FROM ledger_transactions t WHERE t.vendor_id = c.vendor_id AND t.campaign_id = c.id AND t.kind = 'CAPTURE'
                     AND t.reference <> 'fees/' || c.id) AS earned
    FROM campaigns c WHERE c.vendor_id = @vendor_id AND c.finished_at IS NOT NULL) x;

-- name: LedgerPayments
-- Orders that are paid without their top-up, or with another amount, and top-ups by a
-- provider without their order.
SELECT (SELECT count(*) FROM payment_orders o WHERE o.vendor_id = @vendor_id AND o.status = 'PAID' AND NOT EXISTS (
            SELECT 1 FROM ledger_transactions t JOIN ledger_entries e ON e.vendor_id = t.vendor_id AND e.transaction_id = t.id
            WHERE t.vendor_id = o.vendor_id AND t.kind = 'TOP_UP' AND t.reference = 'payment/' || o.provider || '/' || o.payment_id
              AND e.amount_micros = o.amount_micros))
     + (SELECT count(*) FROM ledger_transactions t WHERE t.vendor_id = @vendor_id AND t.kind = 'TOP_UP' AND t.reference LIKE 'payment/%' AND NOT EXISTS (
            SELECT 1 FROM payment_orders o WHERE o.vendor_id = t.vendor_id AND 'payment/' || o.provider || '/' || o.payment_id = t.reference));
