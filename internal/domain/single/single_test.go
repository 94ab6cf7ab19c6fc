package single_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

type object = map[string]any

func button(id, title string) object {
	return object{"type": "reply", "reply": object{"id": id, "title": title}}
}

func buttons(all ...any) object {
	return object{"type": "button", "body": object{"text": "Sure?"}, "action": object{"buttons": all}}
}

func rows(n int) object {
	all := make([]any, n)
	for i := range all {
		all[i] = object{"id": strings.Repeat("r", i+1), "title": "Row"}
	}
	return object{"type": "list", "body": object{"text": "Pick"}, "action": object{"button": "Rows", "sections": []any{object{"rows": all}}}}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		content single.Content
		want    string
	}{
		"text": {
			single.Content{Type: single.Text, Text: &single.TextBody{Body: "Hi", PreviewURL: true}},
			`{"type":"text","text":{"body":"Hi","preview_url":true}}`,
		},
		"an answer": {
			single.Content{Type: single.Text, Text: &single.TextBody{Body: "Hi"}, ReplyTo: "wamid.A"},
			`{"type":"text","text":{"body":"Hi"},"context":{"message_id":"wamid.A"}}`,
		},
		"image by id": {
			single.Content{Type: single.Image, Media: &single.Media{ID: "1", Caption: "See"}},
			`{"type":"image","image":{"id":"1","caption":"See"}}`,
		},
		"document by link": {
			single.Content{Type: single.Document, Media: &single.Media{Link: "https://a.example/b.pdf", Filename: "b.pdf"}},
			`{"type":"document","document":{"link":"https://a.example/b.pdf","filename":"b.pdf"}}`,
		},
		"a voice message": {
			single.Content{Type: single.Audio, Media: &single.Media{ID: "1", Voice: true}},
			`{"type":"audio","audio":{"id":"1","voice":true}}`,
		},
		"location on the equator": {
			single.Content{Type: single.Location, Location: &single.Place{Longitude: 32.5, Name: "Here"}},
			`{"type":"location","location":{"latitude":0,"longitude":32.5,"name":"Here"}}`,
		},
		"a reaction taken back": {
			single.Content{Type: single.Reaction, Reaction: &single.Emoji{MessageID: "wamid.A"}},
			`{"type":"reaction","reaction":{"message_id":"wamid.A","emoji":""}}`,
		},
		"contacts": {
			single.Content{Type: single.Contacts, Contacts: []map[string]any{{"name": object{"formatted_name": "Asha"}}}},
			`{"type":"contacts","contacts":[{"name":{"formatted_name":"Asha"}}]}`,
		},
		"buttons": {
			single.Content{Type: single.Interactive, Interactive: buttons(button("y", "Yes"))},
			`{"type":"interactive","interactive":{"type":"button","body":{"text":"Sure?"},"action":{"buttons":[{"type":"reply","reply":{"id":"y","title":"Yes"}}]}}}`,
		},
		"template": {
			single.Content{Type: single.Template, Template: &single.Filled{Name: "offer", Language: single.Language{Code: "en_US"}}},
			`{"type":"template","template":{"name":"offer","language":{"code":"en_US"}}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := single.Compose(tt.content)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(got))
		})
	}
}

func TestCompose_RefusesWhatMetaWouldRefuse(t *testing.T) {
	t.Parallel()
	media := func(kind single.Type, m single.Media) single.Content { return single.Content{Type: kind, Media: &m} }
	ask := func(i object) single.Content { return single.Content{Type: single.Interactive, Interactive: i} }
	tests := map[string]struct {
		content single.Content
		pointer string
	}{
		"no type":                       {single.Content{}, "/type"},
		"nothing for the type":          {single.Content{Type: single.Text}, "/text"},
		"an empty text":                 {single.Content{Type: single.Text, Text: &single.TextBody{Body: " "}}, "/text/body"},
		"a text too long":               {single.Content{Type: single.Text, Text: &single.TextBody{Body: strings.Repeat("ü", 4097)}}, "/text/body"},
		"a reply to nothing of Meta's":  {single.Content{Type: single.Text, Text: &single.TextBody{Body: "a"}, ReplyTo: "7"}, "/context/message_id"},
		"no file":                       {media(single.Image, single.Media{}), "/image"},
		"a file twice":                  {media(single.Video, single.Media{ID: "1", Link: "https://a.example"}), "/video"},
		"a link that is none":           {media(single.Sticker, single.Media{Link: "ftp://a.example"}), "/sticker/link"},
		"a sticker with a caption":      {media(single.Sticker, single.Media{ID: "1", Caption: "a"}), "/sticker/caption"},
		"a caption too long":            {media(single.Image, single.Media{ID: "1", Caption: strings.Repeat("a", 1025)}), "/image/caption"},
		"an image with a file name":     {media(single.Image, single.Media{ID: "1", Filename: "a"}), "/image/filename"},
		"a video as a voice message":    {media(single.Video, single.Media{ID: "1", Voice: true}), "/video/voice"},
		"a place beyond the pole":       {single.Content{Type: single.Location, Location: &single.Place{Latitude: 91}}, "/location/latitude"},
		"a card without a name":         {single.Content{Type: single.Contacts, Contacts: []map[string]any{{}}}, "/contacts/0/name/formatted_name"},
		"a reaction to nothing":         {single.Content{Type: single.Reaction, Reaction: &single.Emoji{Emoji: "👍"}}, "/reaction/message_id"},
		"an unknown interactive":        {ask(object{"type": "poll"}), "/interactive/type"},
		"an interactive without a text": {ask(object{"type": "cta_url"}), "/interactive/body/text"},
		"no buttons":                    {ask(buttons()), "/interactive/action/buttons"},
		"four buttons":                  {ask(buttons(button("1", "a"), button("2", "b"), button("3", "c"), button("4", "d"))), "/interactive/action/buttons"},
		"the same button twice":         {ask(buttons(button("1", "a"), button("2", "a"))), "/interactive/action/buttons"},
		"a button's title too long":     {ask(buttons(button("1", strings.Repeat("a", 21)))), "/interactive/action/buttons"},
		"an empty list":                 {ask(rows(0)), "/interactive/action/sections"},
		"eleven rows":                   {ask(rows(11)), "/interactive/action/sections"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := single.Compose(tt.content)
			var e *errs.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "message.bad_content", e.Code)
			require.Equal(t, tt.pointer, e.Fields[0].Pointer)
		})
	}
}

func TestNewFilled(t *testing.T) {
	t.Parallel()
	offer := template.Template{
		Name: "offer", Language: "en", Category: template.Marketing, Status: template.Approved, Format: template.Positional,
		Components: []template.Component{{Type: "BODY", Text: "Hi {{1}}"}},
	}
	f, err := single.NewFilled(offer, map[string]string{"body.1": "Asha"})
	require.NoError(t, err)
	require.Equal(t, "Asha", f.Components[0].Parameters[0].Text)
	_, err = single.NewFilled(offer, nil)
	require.Equal(t, "template.value_missing", errs.CodeOf(err))
	offer.Status = "PAUSED"
	_, err = single.NewFilled(offer, map[string]string{"body.1": "Asha"})
	require.ErrorIs(t, err, template.ErrNotApproved)
}

func TestWindowEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		kind string
		at   time.Time
		want time.Time
	}{
		"a text":                           {"text", now.Add(-time.Hour), now.Add(23 * time.Hour)},
		"a kind we do not know":            {"unsupported", now, now.Add(24 * time.Hour)},
		"one that came late":               {"image", now.Add(-48 * time.Hour), now.Add(-24 * time.Hour)},
		"a clock ahead":                    {"button", now.Add(time.Hour), now.Add(24 * time.Hour)},
		"what the system tells opens none": {"system", now, time.Time{}},
		"without a time none":              {"text", time.Time{}, time.Time{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, single.WindowEnd(tt.kind, tt.at, now))
		})
	}
}

func TestTypes_OnlyTemplatesNeedNoWindow(t *testing.T) {
	t.Parallel()
	for _, kind := range single.Types() {
		require.Equal(t, kind != single.Template, kind.FreeForm(), kind)
	}
}
