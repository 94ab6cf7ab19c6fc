package demo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck_NamesWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	good := Result{
		Contacts: 100, Created: 95, Duplicate: 3, Invalid: 2,
		Messages: 95, Sent: 93, Delivered: 90, Read: 50, Failed: 3, Rejected: 2, MetaUnique: 93,
		Quoted: 950, Captured: 930, Released: 20, Refunded: 10,
	}
	require.NoError(t, good.check())
	for name, tt := range map[string]struct {
		spoil func(*Result)
		want  string
	}{
		"nothing happened":                    {func(r *Result) { *r = Result{} }, "something was imported and sent"},
		"a row was lost":                      {func(r *Result) { r.Invalid-- }, "contacts = "},
		"a message was lost":                  {func(r *Result) { r.Messages++ }, "messages = "},
		"more delivered than sent":            {func(r *Result) { r.Delivered = 94 }, "sent >= delivered"},
		"more read than delivered":            {func(r *Result) { r.Read = 91 }, "delivered >= read"},
		"a rejection is not among failures":   {func(r *Result) { r.Failed = 1 }, "failed = "},
		"more failed later than were sent":    {func(r *Result) { r.Failed = 96 }, "failed = "},
		"a message is not final":              {func(r *Result) { r.Unknown = 1 }, "unknown = 0"},
		"Meta was told twice":                 {func(r *Result) { r.MetaDuplicates = 1 }, "meta_duplicates = 0"},
		"Meta accepted what was not recorded": {func(r *Result) { r.MetaUnique++ }, "meta_unique = sent"},
		"held money is left":                  {func(r *Result) { r.Released-- }, "quoted = "},
		"the ledger drifts":                   {func(r *Result) { r.Drift = -1 }, "ledger drift"},
	} {
		r := good
		tt.spoil(&r)
		require.ErrorContains(t, r.check(), tt.want, name)
	}
}
