-- name: FreezeWalk
-- The next contacts of an audience, in the order of their ids, and those of them that get
-- a message. It walks the index of each driving label from the cursor on: a page costs
-- the same wherever it is and however many contacts the vendor has. An audience is
-- walked by its any_labels, or by the first of its all_labels; the other conditions are
-- asked once a contact, by index. Whom CampaignAudience counts, this takes: keep the two
-- in step.
WITH walked AS (
    SELECT w.contact_id FROM unnest(@driving::uuid[]) AS d(label_id)
    CROSS JOIN LATERAL (
        SELECT l.contact_id FROM contact_labels l
        WHERE l.vendor_id = @vendor_id AND l.label_id = d.label_id AND l.contact_id > @cursor::uuid
        ORDER BY l.contact_id LIMIT @page_rows) w
    GROUP BY w.contact_id ORDER BY w.contact_id LIMIT @page_rows
), barred AS MATERIALIZED (
    -- OFFSET 0 keeps the look-ups by index apart: joined, they would be hashed over whole tables.
    SELECT i.contact_id FROM walked w
    CROSS JOIN LATERAL (
        SELECT i.contact_id, i.identity_hash FROM contact_identities i
        WHERE i.vendor_id = @vendor_id AND i.contact_id = w.contact_id OFFSET 0) i
    CROSS JOIN LATERAL (
        SELECT 1 FROM suppressions s
        WHERE s.vendor_id = @vendor_id AND s.identity_hash = i.identity_hash AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text) OFFSET 0) s
)
SELECT (SELECT count(*) FROM walked)::integer,
       (SELECT w.contact_id FROM walked w ORDER BY w.contact_id DESC LIMIT 1),
       ARRAY(SELECT w.contact_id FROM walked w
             WHERE (cardinality(@all_labels::uuid[]) = 0 OR cardinality(@all_labels::uuid[]) = (
                     SELECT count(*) FROM contact_labels l
                     WHERE l.vendor_id = @vendor_id AND l.contact_id = w.contact_id AND l.label_id = ANY(@all_labels::uuid[])))
               AND (cardinality(@excluded_labels::uuid[]) = 0 OR 0 = (
                     SELECT count(*) FROM contact_labels l
                     WHERE l.vendor_id = @vendor_id AND l.contact_id = w.contact_id AND l.label_id = ANY(@excluded_labels::uuid[])))
               AND w.contact_id NOT IN (SELECT b.contact_id FROM barred b)
             ORDER BY w.contact_id);

-- name: FreezeNumbers
-- What tells a contact's time zones: its country, and the number where that is not enough.
SELECT c.id, c.country, CASE WHEN c.country <> ALL(@one_zone::text[]) THEN c.mobile_ct END
FROM unnest(@contact_ids::uuid[]) AS p(id) CROSS JOIN LATERAL (
    SELECT c.id, c.country, c.mobile_ct FROM contacts c WHERE c.vendor_id = @vendor_id AND c.id = p.id OFFSET 0) c ORDER BY c.id;

-- name: FreezePage
-- A page of contacts becomes messages and their events, in contact order. A message of a
-- country beyond the quoted quantity costs as much as the others until a further
-- quotation says better; whether the hold covers it is decided when all is frozen.
-- zones runs beside contact_ids, or is empty; zone_names and zone_at say from when on
-- somebody of such zones may be written to.
WITH page AS (
    SELECT c.id, c.mobile_hash, c.country, c.mobile_ct, c.name_ct, p.zones
    FROM unnest(@contact_ids::uuid[], @zones::text[]) AS p(id, zones)
    CROSS JOIN LATERAL ( -- by index: a join would hash all of the vendor's contacts
        SELECT c.id, c.mobile_hash, c.country, c.mobile_ct, c.name_ct FROM contacts c WHERE c.vendor_id = @vendor_id AND c.id = p.id OFFSET 0) c
), numbered AS (
    SELECT p.*, COALESCE(s.assigned, 0) + row_number() OVER (PARTITION BY p.country ORDER BY p.id) AS nth,
           COALESCE(s.share_micros, 0) AS share_micros, COALESCE(s.share_remainder, 0) AS share_remainder, COALESCE(s.quantity, 0) AS quantity
    FROM page p LEFT JOIN campaign_shares s ON s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id AND s.country = p.country
), frozen AS (
    INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, name_ct, attributes, price_micros, zones)
    SELECT @vendor_id, @month, @campaign_id, n.id, n.mobile_hash, n.country, n.mobile_ct, n.name_ct,
           CASE WHEN cardinality(@attributes::text[]) > 0 THEN (
               SELECT jsonb_object_agg(a.name, a.value) FROM contact_attributes a
               WHERE a.vendor_id = @vendor_id AND a.contact_id = n.id AND a.name = ANY(@attributes::text[])) END,
           n.share_micros + CASE WHEN n.nth <= n.share_remainder THEN 1 ELSE 0 END, n.zones
    FROM numbered n ORDER BY n.id
    ON CONFLICT DO NOTHING
    RETURNING id, country, price_micros, zones
), events AS (
    INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at, wait_reason)
    SELECT @vendor_id, l.id, 'message', f.id, COALESCE(z.at, now()), CASE WHEN z.at > now() THEN 'QUIET_HOURS' END
    FROM outbox_lanes l CROSS JOIN frozen f
    LEFT JOIN unnest(@zone_names::text[], @zone_at::timestamptz[]) AS z(name, at) ON z.name = f.zones
    WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id ORDER BY f.id
), assigned AS (
    INSERT INTO campaign_shares AS s (vendor_id, campaign_id, country, quantity, share_micros, share_remainder, assigned, excess_from)
    SELECT @vendor_id, @campaign_id, f.country, 0, 0, 0, f.n,
           (SELECT n.id FROM numbered n WHERE n.country = f.country AND n.nth > n.quantity ORDER BY n.id LIMIT 1)
    FROM (SELECT country, count(*) AS n FROM frozen GROUP BY country) f ORDER BY f.country
    ON CONFLICT (vendor_id, campaign_id, country) DO UPDATE SET
        assigned = s.assigned + EXCLUDED.assigned, excess_from = COALESCE(s.excess_from, EXCLUDED.excess_from)
)
UPDATE campaigns SET
    freeze_cursor = @cursor::uuid,
    frozen_count = frozen_count + (SELECT count(*) FROM frozen),
    frozen_micros = frozen_micros + COALESCE((SELECT sum(price_micros) FROM frozen), 0)
WHERE vendor_id = @vendor_id AND id = @campaign_id
RETURNING frozen_count;

-- name: FreezeUnquoted
-- Countries whose frozen messages are more than were quoted, or were not quoted at all.
SELECT country, (assigned - quantity)::bigint FROM campaign_shares
WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id AND assigned > quantity ORDER BY country;

-- name: FreezeZones
SELECT id, zones FROM message_logs
WHERE vendor_id = @vendor_id AND month = @month AND id = ANY(@message_ids::bigint[]) AND zones IS NOT NULL;

-- name: FurtherPrices
-- What goes beyond the first quotation costs what the further one says: those messages are
-- the country's last in the freeze's order. The shares know them from now on.
WITH excess AS (
    SELECT m.id, m.country, row_number() OVER (PARTITION BY m.country ORDER BY m.contact_id) AS nth
    FROM campaign_shares s JOIN message_logs m ON m.vendor_id = @vendor_id AND m.month = @month AND m.campaign_id = @campaign_id
         AND m.country = s.country AND m.contact_id >= s.excess_from
    WHERE s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id AND s.assigned > s.quantity
), priced AS (
    UPDATE message_logs m SET price_micros = i.share_micros + CASE WHEN e.nth <= i.share_remainder THEN 1 ELSE 0 END
    FROM excess e JOIN quotation_items i ON i.vendor_id = @vendor_id AND i.quotation_id = @quotation_id AND i.kind = 'MESSAGES' AND i.country = e.country
    WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = e.id
), noted AS (
    UPDATE campaigns SET further_quotation_id = @quotation_id WHERE vendor_id = @vendor_id AND id = @campaign_id
)
UPDATE campaign_shares s SET quantity = s.quantity + i.quantity FROM quotation_items i
WHERE s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id
  AND i.vendor_id = @vendor_id AND i.quotation_id = @quotation_id AND i.kind = 'MESSAGES' AND i.country = s.country;
