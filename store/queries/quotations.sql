-- name: QuotationVendor
-- Whose prices apply. The advisory lock numbers a vendor's quotations without gaps.
SELECT plan, currency, default_region, name FROM vendors WHERE vendor_id = @vendor_id;

-- name: QuotationNumberLock
SELECT pg_advisory_xact_lock(hashtextextended('quotation/' || @vendor_id::text, 0));

-- name: QuotationCount
SELECT count(*) FROM quotations WHERE vendor_id = @vendor_id;

-- name: QuotationSupersede
UPDATE quotations SET status = 'SUPERSEDED' WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id AND status = 'ISSUED';

-- name: QuotationAccept
UPDATE quotations SET status = 'ACCEPTED' WHERE vendor_id = @vendor_id AND id = @id AND status = 'ISSUED';

-- name: QuotationInsert
INSERT INTO quotations (vendor_id, id, campaign_id, number, currency, snapshot_id, inputs, fingerprint, quantity,
                        messages_micros, fees_micros, tax_micros, total_micros, wallet_sufficient, expires_at, created_at)
VALUES (@vendor_id, @id, @campaign_id, @number, @currency, @snapshot_id, @inputs, @fingerprint, @quantity,
        @messages, @fees, @tax, @total, @wallet_sufficient, @expires_at, @created_at);

-- name: QuotationItemsInsert
INSERT INTO quotation_items (vendor_id, quotation_id, line_no, kind, country, market, category, quantity, unit_micros, amount_micros,
                             fee_micros, tax_micros, share_micros, share_remainder)
SELECT @vendor_id, @quotation_id, i.line_no, i.kind, i.country, i.market, i.category, i.quantity, i.unit_micros, i.amount_micros,
       i.fee_micros, i.tax_micros, i.share_micros, i.share_remainder
FROM unnest(@kinds::text[], @countries::text[], @markets::text[], @categories::text[], @quantities::integer[], @units::bigint[],
            @amounts::bigint[], @fees::bigint[], @taxes::bigint[], @shares::bigint[], @remainders::integer[])
     WITH ORDINALITY AS i(kind, country, market, category, quantity, unit_micros, amount_micros, fee_micros, tax_micros,
                          share_micros, share_remainder, line_no);

-- name: QuotationByID
SELECT id, campaign_id, number, status, inputs, fingerprint, wallet_sufficient, expires_at, pdf_status, COALESCE(pdf_key, ''),
       COALESCE(pdf_error, ''), created_at, currency, quantity, messages_micros, fees_micros, tax_micros, total_micros
FROM quotations WHERE vendor_id = @vendor_id AND id = @id;

-- name: QuotationItems
SELECT kind, COALESCE(country, ''), COALESCE(market, ''), COALESCE(category, ''), quantity, unit_micros, amount_micros, fee_micros, tax_micros,
       share_micros, share_remainder
FROM quotation_items WHERE vendor_id = @vendor_id AND quotation_id = @quotation_id ORDER BY line_no;

-- name: QuotationPDFMove
-- A document that is ready stays: rendering it again makes the same bytes under the same key.
UPDATE quotations SET pdf_status = @pdf_status, pdf_key = COALESCE(@pdf_key, pdf_key), pdf_error = @pdf_error
WHERE vendor_id = @vendor_id AND id = @id AND pdf_status <> 'READY';

-- name: QuotationPDFLock
SELECT pdf_status FROM quotations WHERE vendor_id = @vendor_id AND id = @id FOR UPDATE;

-- name: QuotationPDFRetry
UPDATE quotations SET pdf_status = 'PENDING', pdf_error = NULL WHERE vendor_id = @vendor_id AND id = @id;
