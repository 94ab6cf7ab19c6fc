package metasim

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

const usualSend = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+919876543210","type":"template",
	"biz_opaque_callback_data":"k1.202611.m1.1","template":{"name":"order_update","language":{"code":"en_US","policy":"deterministic"},
	"components":[{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Ravi"},{"type":"text","text":""}]},
	{"type":"button","sub_type":"quick_reply","index":"1","parameters":[{"type":"payload","payload":"STOP"}]},{"type":"header","parameters":[]}]}}`

func sends() []string {
	return []string{
		usualSend, `{}`, ` { } `, `{"to":"1",}`, `{"to":1}`, `{"to":"1"} x`, `{"to":"1","to":"2"}`, `{"To":"1"}`, `{"to":"a\"b"}`, `{"to":"zoë"}`,
		`{"template":{"name":"a"},"template":{"language":{"code":"en"}}}`, `{"template":{"language":{"code":"a"},"language":{"policy":"b"}}}`,
		`{"template":{"components":[{"type":"body"}],"components":[{}]}}`, `{"template":null}`, `{"template":{"components":[null]}}`,
		`{"type":"text","text":{"body":"hi"}}`, `[]`, `null`, ``, `{`, `{"to"`, `{"to":"`,
	}
}

func TestQuickDecode_TakesTheUsualSend(t *testing.T) {
	t.Parallel()
	var m sendRequest
	require.True(t, quickDecode([]byte(usualSend), &m))
	require.Equal(t, "Ravi", string(*m.Template.Components[0].Parameters[0].Text))
}

func TestQuickDecode_AgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, s := range sends() {
		requireAgreement(t, []byte(s))
	}
}

func FuzzQuickDecode(f *testing.F) {
	for _, s := range sends() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { requireAgreement(t, body) })
}

func requireAgreement(t *testing.T, body []byte) {
	t.Helper()
	var quick, full sendRequest
	if !quickDecode(body, &quick) {
		return
	}
	require.NoError(t, json.Unmarshal(body, &full), "%s", body)
	require.Equal(t, full, quick, "%s", body)
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "a/b\\c\"d", "zoë 🌻 \x00\x1f\x7f", "\u2028", "\xff\xfe", "\ud7ff\ue000\U0010ffff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString(nil, s)
		requireASCII(t, got)
		var back, want string
		require.NoError(t, json.Unmarshal(got, &back))
		plain, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(plain, &want)) // invalid UTF-8 is replaced the same way
		require.Equal(t, want, back)

		whole := asciiJSON(map[string]any{s: s})
		requireASCII(t, whole)
		var object map[string]string
		require.NoError(t, json.Unmarshal(whole, &object))
		require.Equal(t, map[string]string{want: want}, object)
	})
}

func requireASCII(t *testing.T, b []byte) {
	t.Helper()
	for i, c := range b {
		require.True(t, c >= 0x20 && c < 0x80, "byte %x in %s", c, b)
		if c == '/' {
			require.Equal(t, byte('\\'), b[i-1], "slashes are escaped: %s", b)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"k1.202611.m.1": "k1.202611.m", "k1.202611.m.12": "k1.202611.m", "a.b.c.": "a.b.c.", ".b.c.1": ".b.c.1", "a.b..1": "a.b..1",
		"a.b.c.x": "a.b.c.x", "a.b.c.d.1": "a.b.c.d.1", "abc": "abc", "": "",
	} {
		require.Equal(t, want, identityOf(in), in)
	}
}

func TestMeter_SurvivesGapsLongerThanItsMemory(t *testing.T) {
	t.Parallel()
	var m meter
	m.add(10 * second)
	m.add(10*second + 1)
	m.add((10 + 3*seriesSeconds) * second)
	points := m.perSecond()
	require.Equal(t, ratePoint{Second: 10 + 3*seriesSeconds, Accepted: 1}, points[len(points)-1])
	require.Len(t, points, seriesSeconds)
	require.Equal(t, 2, m.maxCalendar)
	require.Equal(t, 2, m.maxSliding)
}

func TestPairs_ForgetPeopleWhoseDebtIsOver(t *testing.T) {
	t.Parallel()
	var p pairs
	for who := range uint64(1000) {
		require.True(t, p.take(second, who))
	}
	require.True(t, p.take(second+pairMemory+1, 1))
	require.True(t, p.take(second+2*(pairMemory+1), 1))
	require.Len(t, p.cur, 1)
	require.Len(t, p.old, 1)
}

func TestErrorTable_HasWhatTheCodeNames(t *testing.T) {
	t.Parallel()
	table := newErrorTable()
	for _, code := range []int{
		2, 10, 33, 100, 104, 190, 368, 80007, 130429, 131000, 131008, 131009, 131021, 131026, 131031, 131042, 131047, 131048, 131049,
		131050, 131051, 131053, 131055, 131056, 131059, 131062, 132000, 132001, 132005, 132012, 132015, 132016, 132018, 133005, 133010,
	} {
		require.Contains(t, table, code)
		require.NotEmpty(t, table[code].title)
	}
}
