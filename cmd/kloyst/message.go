package main

import (
	"context"
	"os"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
)

// messageCmd looks at one message.
type messageCmd struct {
	Explain messageExplainCmd `cmd:"" help:"Say what a message waits for, or how it ended."`
}

type messageExplainCmd struct {
	Vendor  string     `required:"" help:"Vendor's id."`
	Message message.ID `arg:"" help:"Message's id."`
}

// Run prints one JSON document. It tells nothing of the person.
func (c messageExplainCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := s.MessageFacts(ctx, vendor.ID(c.Vendor), c.Message, time.Now().UTC())
	if err != nil {
		return err
	}
	why := explain.Message(f, meta.Remedy)
	attempts := []map[string]any{}
	for _, a := range f.Attempts {
		attempts = append(attempts, map[string]any{
			"attempt": a.Number, "status": a.Status, "sending_at": stamp(a.SendingAt), "sent_at": stamp(a.SentAt), "delivered_at": stamp(a.DeliveredAt),
			"read_at": stamp(a.ReadAt), "failed_at": stamp(a.FailedAt), "code": a.Code, "title": a.Title, "remedy": meta.Remedy(a.Code),
			"next_retry_at": stamp(a.Next),
		})
	}
	return printJSON(os.Stdout, map[string]any{
		"status": f.Status, "waits": waitFields(why.Lines), "finish_at": stamp(why.FinishAt), "attempts": attempts,
	})
}

// waitFields are the lines of an explanation, as programs read them.
func waitFields(lines []explain.Line) []map[string]any {
	out := []map[string]any{}
	for _, l := range lines {
		out = append(out, map[string]any{
			"code": l.Code, "text": l.Text, "since": stamp(l.Since), "until": stamp(l.Until), "numbers": l.Numbers,
		})
	}
	return out
}
