package campaign_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// TestNext walks every state and event: what is not in the table is refused.
func TestNext(t *testing.T) {
	t.Parallel()
	type pair struct {
		state campaign.State
		event campaign.Event
	}
	allowed := map[pair]campaign.State{
		{campaign.Quoted, campaign.Edit}:        campaign.Draft,
		{campaign.Draft, campaign.Quote}:        campaign.Quoted,
		{campaign.Quoted, campaign.Approve}:     campaign.Approved,
		{campaign.Approved, campaign.Schedule}:  campaign.Scheduled,
		{campaign.Approved, campaign.Prepare}:   campaign.Preparing,
		{campaign.Scheduled, campaign.Prepare}:  campaign.Preparing,
		{campaign.Preparing, campaign.Launch}:   campaign.Running,
		{campaign.Running, campaign.Pause}:      campaign.Paused,
		{campaign.Halted, campaign.Pause}:       campaign.Paused,
		{campaign.Paused, campaign.Resume}:      campaign.Running,
		{campaign.Halted, campaign.Resume}:      campaign.Running,
		{campaign.Approved, campaign.Halt}:      campaign.Halted,
		{campaign.Scheduled, campaign.Halt}:     campaign.Halted,
		{campaign.Preparing, campaign.Halt}:     campaign.Halted,
		{campaign.Approved, campaign.Withdraw}:  campaign.Draft,
		{campaign.Scheduled, campaign.Withdraw}: campaign.Draft,
		{campaign.Halted, campaign.Restart}:     campaign.Approved,
		{campaign.Paused, campaign.Restart}:     campaign.Approved,
		{campaign.Running, campaign.Halt}:       campaign.Halted,
		{campaign.Running, campaign.Complete}:   campaign.Completed,
		{campaign.Paused, campaign.Complete}:    campaign.Completed,
		{campaign.Halted, campaign.Complete}:    campaign.Completed,
		{campaign.Draft, campaign.Cancel}:       campaign.Cancelled,
		{campaign.Quoted, campaign.Cancel}:      campaign.Cancelled,
		{campaign.Approved, campaign.Cancel}:    campaign.Cancelled,
		{campaign.Scheduled, campaign.Cancel}:   campaign.Cancelled,
		{campaign.Preparing, campaign.Cancel}:   campaign.Cancelled,
		{campaign.Running, campaign.Cancel}:     campaign.Cancelled,
		{campaign.Paused, campaign.Cancel}:      campaign.Cancelled,
		{campaign.Halted, campaign.Cancel}:      campaign.Cancelled,
		{campaign.Draft, campaign.Edit}:         campaign.Draft, // repeats
		{campaign.Draft, campaign.Withdraw}:     campaign.Draft,
		{campaign.Approved, campaign.Restart}:   campaign.Approved,
		{campaign.Quoted, campaign.Quote}:       campaign.Quoted,
		{campaign.Approved, campaign.Approve}:   campaign.Approved,
		{campaign.Scheduled, campaign.Schedule}: campaign.Scheduled,
		{campaign.Preparing, campaign.Prepare}:  campaign.Preparing,
		{campaign.Running, campaign.Launch}:     campaign.Running,
		{campaign.Paused, campaign.Pause}:       campaign.Paused,
		{campaign.Running, campaign.Resume}:     campaign.Running,
		{campaign.Halted, campaign.Halt}:        campaign.Halted,
		{campaign.Completed, campaign.Complete}: campaign.Completed,
		{campaign.Cancelled, campaign.Cancel}:   campaign.Cancelled,
	}
	for _, s := range campaign.States() {
		for _, e := range append(campaign.Events(), "UNHEARD_OF") {
			got, err := campaign.Next(s, e)
			want, ok := allowed[pair{s, e}]
			if !ok {
				require.ErrorIs(t, err, campaign.ErrTransition, "%s + %s", s, e)
				require.Equal(t, s, got)
				continue
			}
			require.NoError(t, err, "%s + %s", s, e)
			require.Equal(t, want, got, "%s + %s", s, e)
			require.False(t, s.Final() && got != s, "%s is final", s)
		}
	}
}

func TestNamedAudience(t *testing.T) {
	t.Parallel()
	got, err := campaign.NamedAudience{AnyLabels: []string{" VIP ", "vip", "", "Delhi"}, ExcludedLabels: []string{"Staff"}}.Normalize()
	require.NoError(t, err)
	require.Equal(t, []string{"delhi", "vip"}, got.AnyLabels)

	resolved, err := got.Resolve(map[string]campaign.LabelID{"vip": "1", "delhi": "2", "staff": "3"})
	require.NoError(t, err)
	stored, err := json.Marshal(resolved)
	require.NoError(t, err)
	require.JSONEq(t, `{"any_labels":["2","1"],"excluded_labels":["3"],"names":{"1":"vip","2":"delhi","3":"staff"}}`, string(stored))
	back, err := campaign.ParseAudience(stored)
	require.NoError(t, err)
	require.Equal(t, resolved, back)
	_, err = got.Resolve(map[string]campaign.LabelID{"vip": "1", "delhi": "2"})
	require.Equal(t, "campaign.bad_audience", errs.CodeOf(err))
	_, err = campaign.ParseAudience([]byte("{"))
	require.Equal(t, errs.Internal, errs.KindOf(err))

	tests := map[string]campaign.NamedAudience{
		"nobody":                       {},
		"only blanks":                  {AnyLabels: []string{" "}},
		"only exclusions":              {ExcludedLabels: []string{"a"}},
		"a label asked for and barred": {AllLabels: []string{"a"}, ExcludedLabels: []string{"A"}},
		"too many labels":              {AnyLabels: many(51)},
	}
	for name, a := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := a.Normalize()
			require.Equal(t, "campaign.bad_audience", errs.CodeOf(err))
		})
	}
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Repeat("x", i+1)
	}
	return out
}

// body returns the variables of a body with two of them.
func body(t *testing.T) []template.Variable {
	t.Helper()
	spec, err := template.Parse(template.Template{
		Format:     template.Positional,
		Components: []template.Component{{Type: "BODY", Text: "Hi {{1}} from {{2}}"}},
	})
	require.NoError(t, err)
	return spec.Variables()
}

func TestParameters_Cover(t *testing.T) {
	t.Parallel()
	name := campaign.Parameter{Source: campaign.FromField, Name: "name", Fallback: "friend"}
	city := campaign.Parameter{Source: campaign.FromAttribute, Name: "city", Fallback: "your town"}
	good := campaign.Parameters{"body.1": name, "body.2": city}
	require.NoError(t, good.Cover(body(t)))
	require.NoError(t, campaign.Parameters(nil).Cover(nil))
	require.Equal(t, []string{"city"}, good.Attributes())
	require.True(t, good.UsesName())
	require.False(t, good.UsesMobile())

	change := func(f func(*campaign.Parameter)) campaign.Parameters {
		p := name
		f(&p)
		return campaign.Parameters{"body.1": p, "body.2": city}
	}
	tests := map[string]campaign.Parameters{
		"a variable left open":         {"body.1": name},
		"a variable that is not there": {"body.1": name, "body.2": city, "header.1": name},
		"an unknown source":            change(func(p *campaign.Parameter) { p.Source = "MAGIC" }),
		"an unknown field":             change(func(p *campaign.Parameter) { p.Name = "age" }),
		"no fallback":                  change(func(p *campaign.Parameter) { p.Fallback = " " }),
		"a fallback on two lines":      change(func(p *campaign.Parameter) { p.Fallback = "a\nb" }),
		"an attribute without a name":  change(func(p *campaign.Parameter) { p.Source, p.Name = campaign.FromAttribute, "" }),
		"an empty text":                change(func(p *campaign.Parameter) { p.Source = campaign.FromText }),
	}
	for title, ps := range tests {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, "campaign.bad_parameters", errs.CodeOf(ps.Cover(body(t))))
		})
	}
}

func TestParameters_Values(t *testing.T) {
	t.Parallel()
	stored := `{
		"body.1": {"source": "FIELD", "name": "name", "fallback": "friend"},
		"body.2": {"source": "FIELD", "name": "mobile"},
		"body.3": {"source": "ATTRIBUTE", "name": "city", "fallback": "your town"},
		"body.4": {"source": "ATTRIBUTE", "name": "code", "fallback": "none"},
		"body.5": {"source": "TEXT", "text": "20 %"}
	}`
	ps, err := campaign.ParseParameters([]byte(stored))
	require.NoError(t, err)
	require.True(t, ps.UsesMobile())
	r := campaign.Recipient{Name: " Asha\n  Rao ", Mobile: "+910000000001", Attributes: map[string]string{"city": "Pune"}}
	require.Equal(t, map[string]string{
		"body.1": "Asha Rao", "body.2": "+910000000001", "body.3": "Pune", "body.4": "none", "body.5": "20 %",
	}, ps.Values(r))
	_, err = campaign.ParseParameters([]byte(`[]`))
	require.Equal(t, errs.Internal, errs.KindOf(err))
}

func TestNewCampaign_Validate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	good := campaign.NewCampaign{Name: " Diwali ", Audience: campaign.NamedAudience{AnyLabels: []string{"VIP"}}}
	got, err := good.Validate(nil, now)
	require.NoError(t, err)
	require.Equal(t, "Diwali", got.Name)
	require.Equal(t, []string{"vip"}, got.Audience.AnyLabels)

	tests := map[string]struct {
		change func(*campaign.NewCampaign)
		code   string
	}{
		"no name":         {func(c *campaign.NewCampaign) { c.Name = " " }, "campaign.bad_name"},
		"a long name":     {func(c *campaign.NewCampaign) { c.Name = strings.Repeat("न", 121) }, "campaign.bad_name"},
		"no audience":     {func(c *campaign.NewCampaign) { c.Audience = campaign.NamedAudience{} }, "campaign.bad_audience"},
		"stray parameter": {func(c *campaign.NewCampaign) { c.Parameters = campaign.Parameters{"body.1": {}} }, "campaign.bad_parameters"},
		"a past schedule": {func(c *campaign.NewCampaign) { c.ScheduledAt = now.Add(-time.Second) }, "campaign.bad_schedule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			_, err := c.Validate(nil, now)
			require.Equal(t, tt.code, errs.CodeOf(err))
		})
	}
}
