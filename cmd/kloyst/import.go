package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/store"
)

// importCmd is what an operator does with contact imports.
type importCmd struct {
	Ls     importLsCmd     `cmd:"" help:"List imports, newest first; of every vendor without --vendor."`
	Show   importShowCmd   `cmd:"" help:"Show where an import stands and which of its chunks are not done."`
	Retry  importRetryCmd  `cmd:"" help:"Have a parked import go on."`
	Abort  importAbortCmd  `cmd:"" help:"Give a parked import up; what is imported stays."`
	Cancel importCancelCmd `cmd:"" help:"Stop an import; what is imported stays."`
}

type importLsCmd struct {
	Vendor string           `help:"Only of this vendor."`
	Status importing.Status `help:"Only in this state: NEEDS_OPERATOR, PROCESSING …"`
	Limit  int              `default:"50" help:"At most so many of a vendor."`
}

// Run prints a table.
func (c *importLsCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	owners := []vendor.ID{vendor.ID(c.Vendor)}
	if c.Vendor == "" {
		all, err := s.ListVendors(ctx)
		if err != nil {
			return err
		}
		owners = owners[:0]
		for _, v := range all {
			owners = append(owners, v.ID)
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VENDOR\tIMPORT\tSTATUS\tREASON\tDONE\tOF\tUPLOADED") // Flush tells
	for _, v := range owners {
		jobs, err := s.ListImports(ctx, v, store.ImportQuery{Status: c.Status}, "", c.Limit)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", v, j.ID, j.Status, j.ReasonCode, j.Counts.Rows(), j.RowsTotal, j.CreatedAt.Format(time.RFC3339)) // Flush tells
		}
	}
	return t.Flush()
}

// importArgs name one import.
type importArgs struct {
	Vendor string `required:"" help:"Vendor's id."`
	Import string `arg:"" help:"Import's id."`
}

// steer does one thing to the import and prints where it stands then.
func (c importArgs) steer(ctx context.Context, env *cliEnv, do func(*store.Store, vendor.ID, importing.ID) error) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	v, i := vendor.ID(c.Vendor), importing.ID(c.Import)
	if err := do(s, v, i); err != nil {
		return err
	}
	p, err := s.ImportProgress(ctx, v, i)
	if err != nil {
		return err
	}
	chunks, err := s.ImportChunks(ctx, v, i)
	if err != nil {
		return err
	}
	return printImport(os.Stdout, p, chunks)
}

func printImport(w io.Writer, p store.ImportProgress, chunks []store.ImportChunk) error {
	counts, err := json.Marshal(p.Counts)
	if err != nil {
		return fmt.Errorf("print counts: %w", err)
	}
	fmt.Fprintf(w, "status  %s\n", p.Pace.Status)
	if p.Why.Code != "" {
		fmt.Fprintf(w, "reason  %s: %s\n", p.Why.Code, p.Why.Text)
	}
	fmt.Fprintf(w, "rows    %d of %d, %.0f/s\n", p.Pace.Done, p.Pace.Total, p.Pace.RowsPerSecond())
	if left, known := p.Pace.Left(); known {
		fmt.Fprintf(w, "left    %s\n", left.Round(time.Second))
	}
	fmt.Fprintf(w, "counts  %s\n", counts)
	open := 0
	for _, c := range chunks {
		if !c.Status.Done() {
			open++
		}
		if c.Status == store.ChunkFailed || c.Status == store.ChunkSkipped {
			fmt.Fprintf(w, "chunk   %d %s, rows %d to %d  %s\n", c.No, c.Status, c.FirstRow, c.FirstRow+c.Rows-1, c.ReasonCode)
		}
	}
	_, err = fmt.Fprintf(w, "chunks  %d, to be done %d\n", len(chunks), open)
	return err
}

type importShowCmd struct{ importArgs }

// Run prints one import.
func (c importShowCmd) Run(ctx context.Context, env *cliEnv) error {
	return c.steer(ctx, env, func(*store.Store, vendor.ID, importing.ID) error { return nil })
}

type importRetryCmd struct {
	importArgs

	Mode importing.RetryMode `enum:"resume,skip_chunk,restart" default:"resume" help:"resume: try again what failed. skip_chunk: count its rows as invalid. restart: check the file anew and do what is not done."`
}

// Run leaves the word for the workflow.
func (c importRetryCmd) Run(ctx context.Context, env *cliEnv) error {
	return c.steer(ctx, env, func(s *store.Store, v vendor.ID, i importing.ID) error { return s.RetryImport(ctx, v, i, c.Mode) })
}

type importAbortCmd struct{ importArgs }

// Run gives the import up.
func (c importAbortCmd) Run(ctx context.Context, env *cliEnv) error {
	why := store.Reason{Code: "import.aborted", Text: "given up by an operator"}
	return c.steer(ctx, env, func(s *store.Store, v vendor.ID, i importing.ID) error { return s.AbortImport(ctx, v, i, why) })
}

type importCancelCmd struct{ importArgs }

// Run stops the import.
func (c importCancelCmd) Run(ctx context.Context, env *cliEnv) error {
	why := store.Reason{Code: "import.cancelled", Text: "cancelled by an operator"}
	return c.steer(ctx, env, func(s *store.Store, v vendor.ID, i importing.ID) error { return s.CancelImport(ctx, v, i, why) })
}
