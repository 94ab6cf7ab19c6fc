package store_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// How much TestLedger_ClientsAreKilled does; the whole of it is 10000 over 50, in a minute or two:
// go test ./store -run ClientsAreKilled -ledger.ops 10000 -ledger.vendors 50.
var (
	ledgerOps     = flag.Int("ledger.ops", 800, "operations of TestLedger_ClientsAreKilled")
	ledgerVendors = flag.Int("ledger.vendors", 8, "vendors of TestLedger_ClientsAreKilled")
)

// What a client process is told: where the database is, and whose wallets it moves.
const (
	clientDSN     = "KLOYST_LEDGER_CLIENT_DSN"
	clientVendors = "KLOYST_LEDGER_CLIENT_VENDORS"
	clientJobs    = 8 // at once in each client
)

// TestLedger_Client is no test: it is the process that TestLedger_ClientsAreKilled starts
// and kills. It takes one operation a line and says its number when it is done.
func TestLedger_Client(t *testing.T) {
	t.Parallel()
	dsn := os.Getenv(clientDSN)
	if dsn == "" {
		t.Skip("started by TestLedger_ClientsAreKilled alone")
	}
	s, err := store.Open(t.Context(), dsn, clientJobs)
	require.NoError(t, err)
	defer s.Close()
	vendors := strings.Split(os.Getenv(clientVendors), ",")
	var wg sync.WaitGroup
	jobs := make(chan int)
	for range clientJobs {
		wg.Go(func() {
			for n := range jobs {
				if err := moveMoney(t.Context(), s, vendors, n); err != nil {
					t.Errorf("operation %d: %v", n, err)
				}
				_, _ = fmt.Fprintln(os.Stdout, "done", n) // nobody reads a killed one's
			}
		})
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		jobs <- n
	}
	close(jobs)
	wg.Wait()
}

// moveMoney does operation n: what it does follows from the number, so that another client
// can do it again. A refusal is an answer like any.
func moveMoney(ctx context.Context, s *store.Store, vendors []string, n int) error {
	r := rand.New(rand.NewPCG(15, uint64(n)))
	v := vendor.ID(vendors[r.IntN(len(vendors))])
	// Three campaigns of each vendor, whose ids follow from its own.
	c := string(v[:len(v)-1]) + strconv.Itoa(r.IntN(3))
	ref, amount := fmt.Sprintf("op/%d", n), money.Micros(1+r.IntN(90))
	var batch []wallet.Posting
	switch r.IntN(8) {
	case 0:
		batch = []wallet.Posting{wallet.TopUp(ref, 10*amount)}
	case 1, 2:
		batch = []wallet.Posting{wallet.Hold(c, ref, amount)}
	case 3, 4:
		batch = []wallet.Posting{wallet.Capture(c, ref, amount/2+1), wallet.Capture(c, ref+"/2", amount/3)}
	case 5:
		batch = []wallet.Posting{wallet.Release(c, ref, amount/4+1)}
	case 6:
		batch = []wallet.Posting{wallet.Refund(c, ref, amount/4+1)}
	default:
		batch = []wallet.Posting{wallet.Refund(c, ref, 1), wallet.Hold(c, ref+"/2", 1)}
	}
	for {
		_, err := s.PostAll(ctx, v, batch...)
		switch {
		case err == nil, errors.Is(err, wallet.ErrInsufficientFunds), errors.Is(err, wallet.ErrHoldExhausted), errors.Is(err, wallet.ErrOverRefund):
			return nil
		case errs.KindOf(err) != errs.Unavailable:
			return err
		}
	}
}

// TestLedger_ClientsAreKilled has processes move money of many vendors at random, and kills
// them with SIGKILL in the middle of it, again and again. Whatever was not confirmed is done
// again by others. In the end nothing is missing, nothing was done twice, and no balance is
// below zero.
func TestLedger_ClientsAreKilled(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	vendors := []string{string(p.v)}
	for range *ledgerVendors - 1 {
		vendors = append(vendors, string(addVendor(t, p.db)))
	}
	for _, v := range vendors {
		_, err := p.TopUp(t.Context(), vendor.ID(v), "USD", wallet.TopUp("first", 2_000))
		require.NoError(t, err)
	}
	todo := make(chan int, *ledgerOps)
	for n := range *ledgerOps {
		todo <- n
	}
	var done, kills atomic.Int64
	confirmed := make([]atomic.Bool, *ledgerOps)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for life := 0; done.Load() < int64(*ledgerOps); life++ {
				// Every client but those of the last worker dies young.
				doomed := worker < 3 && life < 6
				left := runClient(t, client{p.db.AppURL, vendors, todo, doomed}, func(n int) {
					if confirmed[n].CompareAndSwap(false, true) {
						done.Add(1)
					}
				})
				if doomed {
					kills.Add(1)
				}
				for _, n := range left {
					todo <- n
				}
			}
		})
	}
	wg.Wait()
	require.GreaterOrEqual(t, kills.Load(), int64(3))
	accounts, booked := p.requireNothingLost(t, vendors)
	t.Logf("%d operations, %d vendors, %d accounts, %d transactions, %d clients killed, drift 0", *ledgerOps, len(vendors), accounts, booked, kills.Load())
}

// requireNothingLost holds every vendor's books against themselves, and counts them.
func (p purse) requireNothingLost(t *testing.T, vendors []string) (accounts, booked int) {
	t.Helper()
	for _, v := range vendors {
		d, err := p.ReconcileWallet(t.Context(), vendor.ID(v))
		require.NoError(t, err)
		require.True(t, d.OK(), "%+v", d)
		accounts += d.Accounts
	}
	var negative int
	require.NoError(t, p.db.Super().QueryRow(t.Context(),
		`SELECT count(*) FILTER (WHERE kind IN ('WALLET', 'HOLD', 'REVENUE') AND balance_micros < 0) FROM ledger_accounts`).Scan(&negative))
	require.Zero(t, negative)
	require.NoError(t, p.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM ledger_transactions`).Scan(&booked))
	return accounts, booked
}

// client is one process to run.
type client struct {
	dsn     string
	vendors []string
	todo    chan int
	doomed  bool // killed with work on its hands
}

// runClient feeds a process until nothing is left or it is killed, and returns what it did
// not confirm.
func runClient(t *testing.T, c client, confirm func(int)) (left []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLedger_Client$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), clientDSN+"="+c.dsn, clientVendors+"="+strings.Join(c.vendors, ","))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return nil
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return nil
	}
	given := map[int]bool{}
	var mu sync.Mutex
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "done "); ok {
				if n, err := strconv.Atoi(text); err == nil {
					mu.Lock()
					delete(given, n)
					mu.Unlock()
					confirm(n)
				}
			}
		}
	}()
	feed(in, c, given, &mu)
	if c.doomed {
		_ = cmd.Process.Kill() // SIGKILL: nothing of it is flushed
	}
	_ = in.Close()
	<-answers
	if err := cmd.Wait(); err != nil && !c.doomed {
		t.Errorf("client: %v", err)
	}
	for n := range given {
		left = append(left, n)
	}
	return left
}

// feed gives a client work: a doomed one gets some and is left in the middle of it.
func feed(in interface{ Write([]byte) (int, error) }, c client, given map[int]bool, mu *sync.Mutex) {
	quota := 1 << 30
	if c.doomed {
		quota = 20 + rand.IntN(60)
	}
	idle := time.NewTimer(300 * time.Millisecond)
	defer idle.Stop()
	for range quota {
		select {
		case n := <-c.todo:
			mu.Lock()
			given[n] = true
			mu.Unlock()
			if _, err := fmt.Fprintln(in, n); err != nil {
				return
			}
			idle.Reset(300 * time.Millisecond)
		case <-idle.C: // the others have the rest in hand
			return
		}
	}
}
