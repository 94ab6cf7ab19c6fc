-- name: PaymentOrderInsert
INSERT INTO payment_orders (vendor_id, id, provider, provider_order_id, currency, amount_micros, created_by)
VALUES (@vendor_id, @id, @provider, @provider_order_id, @currency, @amount, @created_by)
RETURNING created_at;

-- name: PaymentOrderByID
SELECT id, provider, provider_order_id, currency, amount_micros, status, payment_id, created_at, paid_at
FROM payment_orders WHERE vendor_id = @vendor_id AND id = @id;

-- name: PaymentOrderLock
SELECT id, provider, provider_order_id, currency, amount_micros, status, payment_id, created_at, paid_at
FROM payment_orders WHERE vendor_id = @vendor_id AND provider = @provider AND provider_order_id = @provider_order_id FOR UPDATE;

-- name: PaymentOrderVendor
SELECT payment_order_vendor(@provider, @provider_order_id);

-- name: PaymentOrderPaid
UPDATE payment_orders SET status = 'PAID', payment_id = @payment_id, paid_at = now() WHERE vendor_id = @vendor_id AND id = @id;

-- name: PaymentEventOutcome
SELECT COALESCE(reason, '') FROM payment_events WHERE vendor_id = @vendor_id AND provider = @provider AND event_id = @event_id;

-- name: PaymentEventInsert
INSERT INTO payment_events (vendor_id, provider, event_id, order_id, kind, payment_id, currency, amount_micros, outcome, reason)
VALUES (@vendor_id, @provider, @event_id, @order_id, @kind, @payment_id, @currency, @amount, @outcome, @reason);
