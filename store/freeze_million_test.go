package store_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// audience is how many contacts the benchmark of the freeze has: the figures in BENCHMARKS.md
// are of a million.
var audience = flag.Int("audience", 20_000, "contacts that BenchmarkFreeze freezes")

// BenchmarkFreeze turns an audience into messages, page by page, and tells whether the
// last pages cost what the first ones did:
//
//	kloyst dev exec --only postgres -- go test ./store -run '^$' -bench Freeze -benchtime 1x -audience 1000000
func BenchmarkFreeze(b *testing.B) {
	const page = 5000
	for b.Loop() {
		c := newCampaign(b, *audience)
		_, err := c.db.Super().Exec(b.Context(), `ANALYZE`)
		require.NoError(b, err)
		_, err = c.PrepareCampaign(b.Context(), c.v, c.campaign, time.Now())
		require.NoError(b, err)
		var pages []time.Duration
		before := heap()
		began := time.Now()
		frozen := 0
		for done := false; !done; {
			start := time.Now()
			frozen, done, err = c.FreezePage(b.Context(), c.v, c.campaign, page)
			require.NoError(b, err)
			pages = append(pages, time.Since(start))
		}
		took := time.Since(began)
		require.Equal(b, *audience, frozen)
		b.ReportMetric(dbCPU(b, c)*1e6/float64(frozen), "db-cpu-us/contact")
		b.ReportMetric(float64(frozen)/took.Seconds(), "contacts/s")
		b.ReportMetric(mean(pages[:len(pages)/4+1]), "ms/page-first-quarter")
		b.ReportMetric(mean(pages[len(pages)*3/4:]), "ms/page-last-quarter")
		b.ReportMetric(float64(heap())-float64(before), "heap-growth-bytes")
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"launch", func() error { _, err := c.LaunchCampaign(b.Context(), c.v, c.campaign); return err }},
			{"overview", func() error { _, err := c.CampaignOverview(b.Context(), c.v, c.campaign); return err }},
			{"overview-again", func() error { _, err := c.CampaignOverview(b.Context(), c.v, c.campaign); return err }},
			{"dry-run", func() error { _, err := c.DryRunCampaign(b.Context(), c.v, c.campaign, time.Now()); return err }},
			{"audience-count", func() error {
				row, err := c.Campaign(b.Context(), c.v, c.campaign)
				require.NoError(b, err)
				_, err = c.AudienceCounts(b.Context(), c.v, row.Audience, row.Category)
				return err
			}},
		} {
			start, cpu := time.Now(), dbCPU(b, c)
			require.NoError(b, step.do())
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms-"+step.name)
			b.ReportMetric((dbCPU(b, c)-cpu)*1000, "cpu-ms-"+step.name)
		}
	}
}

// dbCPU returns the processor seconds of the database's processes for the application:
// what a page costs whatever else the machine does.
func dbCPU(b *testing.B, c campaigner) float64 {
	b.Helper()
	rows, err := c.db.Super().Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kloyst_app'`)
	require.NoError(b, err)
	ticks, pid := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&pid}, func() error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil //nolint:nilerr // no Linux, or another machine's database
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] { // user and system time, in hundredths of a second
			n, err := strconv.Atoi(f)
			require.NoError(b, err)
			ticks += n
		}
		return nil
	})
	require.NoError(b, err)
	return float64(ticks) / 100
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mean(ds []time.Duration) float64 {
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	return float64(sum.Microseconds()) / 1000 / float64(max(len(ds), 1))
}
