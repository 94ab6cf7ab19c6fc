package template_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func body(text string) template.Component { return template.Component{Type: "BODY", Text: text} }

func positional(parts ...template.Component) template.Template {
	return template.Template{Name: "t", Language: "en", Category: template.Utility, Format: template.Positional, Components: parts}
}

func keys(s *template.Spec) []string {
	var out []string
	for _, v := range s.Variables() {
		out = append(out, v.Key())
	}
	return out
}

func TestParse_FindsTheVariables(t *testing.T) {
	t.Parallel()
	named := positional(template.Component{Type: "HEADER", Format: "TEXT", Text: "Our {{sale}} is on"}, body("Hi {{first_name}}, until {{day}}, {{ first_name }}."))
	named.Format = template.Named
	otp := positional(body("{{1}} is your code."), template.Component{Type: "BUTTONS", Buttons: []template.Button{{Type: "OTP", OTPType: "COPY_CODE"}}})
	otp.Category = template.Authentication
	tests := map[string]struct {
		in   template.Template
		want []string
	}{
		"no variables":                    {positional(body("Hello."), template.Component{Type: "FOOTER", Text: "Bye"}), nil},
		"positional ones in Meta's order": {positional(body("{{2}} before {{1}} and {{2}} again.")), []string{"body.1", "body.2"}},
		"named ones, each once":           {named, []string{"header.sale", "body.first_name", "body.day"}},
		"the suffix of a URL button": {positional(body("Hi."), template.Component{Type: "BUTTONS", Buttons: []template.Button{
			{Type: "QUICK_REPLY", Text: "Stop"}, {Type: "URL", URL: "https://x.example/{{1}}"}, {Type: "URL", URL: "https://x.example/"},
		}}), []string{"button.1"}},
		"the code of an authentication template": {otp, []string{"body.1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := template.Parse(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, keys(s))
		})
	}
}

func TestParse_RefusesWhatACampaignCannotFill(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]template.Template{
		"an image header":        positional(template.Component{Type: "HEADER", Format: "IMAGE"}, body("Hi.")),
		"a carousel":             positional(body("Hi."), template.Component{Type: "CAROUSEL"}),
		"a coupon code":          positional(body("Hi."), template.Component{Type: "BUTTONS", Buttons: []template.Button{{Type: "COPY_CODE"}}}),
		"a hole in the numbers":  positional(body("Hi {{1}} and {{3}}.")),
		"a name in a positional": positional(body("Hi {{first_name}}.")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := template.Parse(in)
			require.Equal(t, errs.Invalid, errs.KindOf(err))
		})
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	tmpl := positional(template.Component{Type: "HEADER", Format: "TEXT", Text: "For {{1}}"}, body("Hi {{1}}, order {{2}}."),
		template.Component{Type: "BUTTONS", Buttons: []template.Button{{Type: "URL", URL: "https://x.example/{{1}}"}}})
	s, err := template.Parse(tmpl)
	require.NoError(t, err)
	good := map[string]string{"header.1": "Asha", "body.1": "Asha", "body.2": "A-17", "button.0": "t/7 é?x=1"}

	got, err := s.Fill(good)
	require.NoError(t, err)
	want := []template.SendComponent{
		{Type: "header", Parameters: []template.SendParameter{{Type: "text", Text: "Asha"}}},
		{Type: "body", Parameters: []template.SendParameter{{Type: "text", Text: "Asha"}, {Type: "text", Text: "A-17"}}},
		{Type: "button", SubType: "url", Index: "0", Parameters: []template.SendParameter{{Type: "text", Text: "t/7%20%C3%A9?x=1"}}},
	}
	require.Empty(t, cmp.Diff(want, got))
	header, text := s.Preview(good)
	require.Equal(t, "For Asha", header)
	require.Equal(t, "Hi Asha, order A-17.", text)

	tests := map[string]struct{ key, value, code string }{
		"refuses a missing value":      {"body.2", "\x00delete", "template.value_missing"},
		"refuses an empty value":       {"body.2", "  ", "template.value_invalid"},
		"refuses a line break":         {"body.2", "A\nB", "template.value_invalid"},
		"refuses a tab":                {"body.2", "A\tB", "template.value_invalid"},
		"refuses five spaces":          {"body.2", "A     B", "template.value_invalid"},
		"refuses a variable not there": {"body.3", "x", "template.value_unknown"},
		"refuses a body over 1024":     {"body.2", strings.Repeat("x", 1100), "template.text_too_long"},
		"refuses a header over 60":     {"header.1", strings.Repeat("x", 60), "template.text_too_long"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := maps.Clone(good)
			values[tt.key] = tt.value
			if tt.value == "\x00delete" {
				delete(values, tt.key)
			}
			_, err := s.Fill(values)
			require.Equal(t, tt.code, errs.CodeOf(err))
		})
	}
}

func TestFill_NamedAndAuthentication(t *testing.T) {
	t.Parallel()
	named := positional(body("Hi {{first_name}}."))
	named.Format = template.Named
	s, err := template.Parse(named)
	require.NoError(t, err)
	got, err := s.Fill(map[string]string{"body.first_name": "Asha"})
	require.NoError(t, err)
	require.Equal(t, "first_name", got[0].Parameters[0].Name)

	otp := positional(body("{{1}} is your code."), template.Component{Type: "BUTTONS", Buttons: []template.Button{{Type: "OTP"}}})
	otp.Category = template.Authentication
	s, err = template.Parse(otp)
	require.NoError(t, err)
	got, err = s.Fill(map[string]string{"body.1": "123456"})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "123456", got[1].Parameters[0].Text)
	_, err = s.Fill(map[string]string{"body.1": "1234567890123456"})
	require.Equal(t, "template.text_too_long", errs.CodeOf(err))
}

func TestClean_GivesWhatMetaTakes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b", template.Clean(" a\r\n\t   b "))
	rapid.Check(t, func(t *rapid.T) {
		got := template.Clean(rapid.String().Draw(t, "text"))
		if got != "" && template.CheckValue("body.1", got) != nil {
			t.Fatalf("cleaned text is refused")
		}
	})
}

func TestSpec_Render(t *testing.T) {
	t.Parallel()
	spec, err := template.Parse(template.Template{Format: template.Positional, Components: []template.Component{
		{Type: "HEADER", Format: "TEXT", Text: "For {{1}}"},
		{Type: "BODY", Text: "{{1}}, your order {{2}}"},
		{Type: "FOOTER", Text: "Reply STOP to opt out"},
		{Type: "BUTTONS", Buttons: []template.Button{
			{Type: "QUICK_REPLY", Text: "Stop"}, {Type: "URL", Text: "Track", URL: "https://acme.example/t/{{1}}"},
		}},
	}})
	require.NoError(t, err)
	require.Equal(t, template.Rendered{
		Header: "For Asha", Body: "Asha, your order $1", Footer: "Reply STOP to opt out",
		Buttons: []template.Button{{Type: "QUICK_REPLY", Text: "Stop"}, {Type: "URL", Text: "Track", URL: "https://acme.example/t/a/b%20c"}},
	}, spec.Render(map[string]string{"header.1": "Asha", "body.1": "Asha", "body.2": "$1", "button.1": "a/b c"}))
}
