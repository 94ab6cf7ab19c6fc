-- name: TemplateUpsert
-- DISTINCT ON keeps the last of a name and language; rows go in by the unique key's order.
INSERT INTO templates (vendor_id, waba_ref, id, meta_id, name, language, category, status, parameter_format, components, synced_at)
SELECT DISTINCT ON (t.name, t.language)
       @vendor_id::uuid, @waba_ref::uuid, t.id, t.meta_id, t.name, t.language, t.category, t.status, t.format, t.components::jsonb, now()
FROM unnest(@ids::uuid[], @meta_ids::text[], @names::text[], @languages::text[], @categories::text[], @statuses::text[],
            @formats::text[], @components::text[])
     WITH ORDINALITY AS t (id, meta_id, name, language, category, status, format, components, position)
ORDER BY t.name, t.language, t.position DESC
ON CONFLICT ON CONSTRAINT templates_name_language_key DO UPDATE
SET meta_id = EXCLUDED.meta_id, category = EXCLUDED.category, status = EXCLUDED.status,
    parameter_format = EXCLUDED.parameter_format, components = EXCLUDED.components, synced_at = EXCLUDED.synced_at

-- name: TemplateMarkGone
UPDATE templates t SET status = 'DELETED', synced_at = now()
WHERE t.vendor_id = @vendor_id AND t.waba_ref = @waba_ref AND t.status <> 'DELETED'
  AND NOT EXISTS (SELECT FROM unnest(@names::text[], @languages::text[]) AS k (name, language)
                  WHERE k.name = t.name AND k.language = t.language)

-- name: TemplateList
SELECT id, waba_ref, meta_id, name, language, category, status, parameter_format, components, synced_at
FROM templates
WHERE vendor_id = @vendor_id
  AND (@waba_ref = '' OR waba_ref::text = @waba_ref)
  AND (@name = '' OR name = @name)
  AND (@language = '' OR language = @language)
  AND (@status = '' AND status <> 'DELETED' OR status = @status)
  AND (@after = '' OR id > NULLIF(@after, '')::uuid)
ORDER BY id
LIMIT @max_rows

-- name: TemplateByID
SELECT id, waba_ref, meta_id, name, language, category, status, parameter_format, components, synced_at
FROM templates WHERE vendor_id = @vendor_id AND id = @id
