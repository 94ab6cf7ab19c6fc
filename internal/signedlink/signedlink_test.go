package signedlink_test

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/signedlink"
)

func TestLink_OpensOneThingUntilItsTime(t *testing.T) {
	t.Parallel()
	s, err := signedlink.New(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	other, err := signedlink.New(bytes.Repeat([]byte{8}, 32))
	require.NoError(t, err)
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	target := signedlink.Target{Kind: "quotation", Vendor: "v1", Subject: "q1"}
	q := s.Query(target, now.Add(signedlink.Life))
	require.ElementsMatch(t, signedlink.Parameters(), []string{"expires", "signature"})
	require.NoError(t, s.Check(target, q, now))
	require.NoError(t, s.Check(target, q, now.Add(signedlink.Life-time.Second)))
	require.ErrorIs(t, s.Check(target, q, now.Add(signedlink.Life)), signedlink.ErrExpired)

	longer := url.Values{"expires": {"9999999999"}, "signature": q["signature"]}
	cut := url.Values{"expires": q["expires"], "signature": {q.Get("signature")[:8]}}
	tests := map[string]struct {
		signer *signedlink.Signer
		target signedlink.Target
		query  url.Values
	}{
		"another thing":             {s, signedlink.Target{Kind: "quotation", Vendor: "v1", Subject: "q2"}, q},
		"another vendor's":          {s, signedlink.Target{Kind: "quotation", Vendor: "v2", Subject: "q1"}, q},
		"another kind":              {s, signedlink.Target{Kind: "statement", Vendor: "v1", Subject: "q1"}, q},
		"parts that run together":   {s, signedlink.Target{Kind: "quotation", Vendor: "v", Subject: "1q1"}, q},
		"a longer time":             {s, target, longer},
		"a shorter signature":       {s, target, cut},
		"no signature":              {s, target, url.Values{"expires": q["expires"]}},
		"nothing":                   {s, target, url.Values{}},
		"a signature of no base64":  {s, target, url.Values{"expires": q["expires"], "signature": {"!"}}},
		"signed by another key":     {other, target, q},
		"no number, rightly signed": {s, target, url.Values{"expires": {"soon"}, "signature": {"AAAA"}}},
	}
	for name, tt := range tests {
		require.ErrorIs(t, tt.signer.Check(tt.target, tt.query, now), signedlink.ErrInvalid, name)
	}
}
