// Package metasim is a local simulator of Meta's Graph API as a WhatsApp
// business platform client sees it: tokens, business accounts, phone numbers,
// templates, POST /messages with Meta's order of validation, its limits, and
// signed webhooks. Its law: what a client may not rely on at Meta, it may not
// rely on here. It therefore shares no parser, no type and no error table with
// the product and must not import any of its packages.
//
// Everything that depends on time asks one Clock, everything that depends on
// chance is a hash of the seed and the recipient: the same seed and the same
// recipients give the same fates, in whatever order the requests come.
//
// Memory: an accepted message keeps about 25 bytes for good (its identity, by
// 64-bit hash, in a map of its business account) and about 400 bytes while
// statuses are still to come; a recipient keeps about 30 bytes for five to ten
// minutes (the pair limit). Undelivered webhook bodies are capped by
// Config.WebhookMaxPendingBytes. POST /_sim/reset frees all of it.
//
// Facts about Meta's side: Meta, Cloud API and Business Management API
// documentation and OpenAPI file, read 2026-09.
package metasim
