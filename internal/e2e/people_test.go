package e2e_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/sdk/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

// people is what must be found nowhere. The zero value looks for nothing.
type people struct {
	texts   []string        // names, addresses, tokens
	numbers map[string]bool // digits with calling code, and without where that is long enough to tell
}

func (p people) with(texts ...string) people {
	p.texts = append(slices.Clone(p.texts), texts...)
	return p
}

// peopleOf are those of a demo's contact file, its owner, and the tokens it came across.
func peopleOf(t *testing.T, file []byte, results ...demo.Result) people {
	t.Helper()
	p := people{numbers: map[string]bool{}}.with("Asha", "Ravi Kumar", "प्रिया", "शर्मा", "Haddad", "Weiß", "acme.example")
	rows, err := csv.NewReader(strings.NewReader(string(file))).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		number, err := phone.Parse(row[0], "IN")
		if err != nil {
			continue
		}
		digits := strings.TrimPrefix(number.String(), "+")
		p.numbers[digits] = true
		for _, calling := range []string{"91", "49"} {
			if national, ok := strings.CutPrefix(digits, calling); ok {
				p.numbers[national] = true
			}
		}
	}
	require.NotEmpty(t, p.numbers)
	for _, r := range results {
		require.NotEmpty(t, r.Secrets)
		p = p.with(r.Secrets...)
		for _, token := range r.Secrets { // vendor.secret: the half that is secret, too
			if _, secret, ok := strings.Cut(token, "."); ok {
				p = p.with(secret)
			}
		}
	}
	return p
}

// Numbers hide in longer runs of digits, which rarely are as long as the shortest number.
var digitRuns = regexp.MustCompile(`[0-9]{10,}`)

// in returns what of the people text holds.
func (p people) in(text string) []string {
	var found []string
	for _, s := range p.texts {
		if strings.Contains(text, s) {
			found = append(found, s)
		}
	}
	if len(p.numbers) == 0 {
		return found
	}
	for _, digits := range digitRuns.FindAllString(text, -1) {
		for from := range digits {
			for size := 10; size <= 13 && from+size <= len(digits); size++ {
				if p.numbers[digits[from:from+size]] {
					found = append(found, digits[from:from+size])
				}
			}
		}
	}
	return found
}

// inHistory returns what of the people a history holds: in its open parts and in its
// decoded payloads, wherever they are.
func (p people) inHistory(t *testing.T, h *historypb.History) []string {
	t.Helper()
	text, err := protojson.Marshal(h)
	require.NoError(t, err)
	found := p.in(string(text))
	require.NoError(t, proxy.VisitPayloads(t.Context(), h, proxy.VisitPayloadsOptions{
		Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, payload := range ps {
				found = append(found, p.in(string(payload.GetData()))...) // the JSON above shows it in base64
				for _, m := range payload.GetMetadata() {
					found = append(found, p.in(string(m))...)
				}
			}
			return ps, nil
		},
	}))
	return found
}

// requireNoPersonalData looks for people and secrets in everything Temporal keeps, after
// it has shown that it finds them wherever they may be.
func requireNoPersonalData(t *testing.T, runs []recorded, p people) {
	t.Helper()
	requireFindsThePlanted(t, p)
	for _, r := range runs {
		require.Empty(t, p.inHistory(t, r.history), "%s %s", r.kind, r.id)
		require.Empty(t, p.in(r.details), "details of %s", r.id)
	}
}

// requireFindsThePlanted puts one of everything looked for into every place of a history.
func requireFindsThePlanted(t *testing.T, p people) {
	t.Helper()
	planted := slices.Clone(p.texts)
	for number := range p.numbers {
		planted = append(planted, number)
		break
	}
	require.NotEmpty(t, planted)
	for _, secret := range planted {
		payload := &commonpb.Payload{Data: []byte(`{"to":"+` + secret + `"}`)}
		fields := map[string]*commonpb.Payload{"x": payload}
		event := func(e *historypb.HistoryEvent) *historypb.History {
			return &historypb.History{Events: []*historypb.HistoryEvent{e}}
		}
		started := func(a *historypb.WorkflowExecutionStartedEventAttributes) *historypb.History {
			return event(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionStartedEventAttributes{WorkflowExecutionStartedEventAttributes: a}})
		}
		failed := func(f *failurepb.Failure) *historypb.History {
			return event(&historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_ActivityTaskFailedEventAttributes{
				ActivityTaskFailedEventAttributes: &historypb.ActivityTaskFailedEventAttributes{Failure: f},
			}})
		}
		for place, h := range map[string]*historypb.History{
			"input":            started(&historypb.WorkflowExecutionStartedEventAttributes{Input: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload}}}),
			"memo":             started(&historypb.WorkflowExecutionStartedEventAttributes{Memo: &commonpb.Memo{Fields: fields}}),
			"header":           started(&historypb.WorkflowExecutionStartedEventAttributes{Header: &commonpb.Header{Fields: fields}}),
			"search attribute": started(&historypb.WorkflowExecutionStartedEventAttributes{SearchAttributes: &commonpb.SearchAttributes{IndexedFields: fields}}),
			"workflow id":      started(&historypb.WorkflowExecutionStartedEventAttributes{WorkflowId: "campaign/" + secret}),
			"summary":          event(&historypb.HistoryEvent{UserMetadata: &sdk.UserMetadata{Summary: payload}}),
			"details":          event(&historypb.HistoryEvent{UserMetadata: &sdk.UserMetadata{Details: payload}}),
			"failure text":     failed(&failurepb.Failure{Message: "cannot write to +" + secret}),
			"stack trace":      failed(&failurepb.Failure{StackTrace: "send(" + secret + ")"}),
			"sealed failure":   failed(&failurepb.Failure{EncodedAttributes: payload}),
			"cause's cause":    failed(&failurepb.Failure{Cause: &failurepb.Failure{Cause: &failurepb.Failure{Message: secret}}}),
			"failure details": failed(&failurepb.Failure{FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{payload}}},
			}}),
		} {
			require.Contains(t, p.inHistory(t, h), secret, place)
		}
	}
}

// requireQuietLogs looks for people and secrets in what our modes and the front door logged.
func requireQuietLogs(t *testing.T, st *devstack.State, p people) {
	t.Helper()
	require.NotEmpty(t, p.in("planted: "+p.texts[0]))
	for _, mode := range []string{devstack.Gateway, devstack.Webhook, devstack.Worker, devstack.Outbox, devstack.Nginx, devstack.Temporal} {
		files, err := filepath.Glob(filepath.Join(st.Dir, "logs", mode+"*"))
		require.NoError(t, err)
		require.NotEmpty(t, files, mode)
		for _, name := range files {
			f, err := os.Open(name)
			require.NoError(t, err)
			lines := bufio.NewScanner(f)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				require.Empty(t, p.in(lines.Text()), "%s: %s", name, lines.Text())
			}
			require.NoError(t, lines.Err())
			require.NoError(t, f.Close())
		}
	}
}

// failures returns the texts of every failure in a history, sealed ones decoded.
func failures(t *testing.T, h *historypb.History) []string {
	t.Helper()
	var out []string
	for _, e := range h.GetEvents() {
		for _, f := range []*failurepb.Failure{
			e.GetActivityTaskStartedEventAttributes().GetLastFailure(), e.GetActivityTaskFailedEventAttributes().GetFailure(),
			e.GetWorkflowExecutionFailedEventAttributes().GetFailure(),
		} {
			for ; f != nil; f = f.GetCause() {
				var sealed struct {
					Message string `json:"message"`
				}
				if data := f.GetEncodedAttributes().GetData(); data != nil {
					require.NoError(t, json.Unmarshal(data, &sealed))
				}
				out = append(out, f.GetMessage()+" "+sealed.Message)
			}
		}
	}
	return out
}
