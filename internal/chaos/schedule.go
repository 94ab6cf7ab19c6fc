package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is one sort of harm.
type Kind string

// The harms of processes and servers, and those that only the simulator does.
const (
	KillWorker      Kind = "kill worker"
	KillRelay       Kind = "kill relay"
	KillWebhook     Kind = "kill webhook"
	KillGateway     Kind = "kill gateway"
	KillTemporal    Kind = "kill temporal"
	RestartRedis    Kind = "restart redis, data kept"
	EmptyRedis      Kind = "restart redis, data lost"
	CrashPostgres   Kind = "crash postgres"
	StallRelay      Kind = "stall relay"     // SIGSTOP beyond its claims' lease, then SIGCONT
	StallWorker     Kind = "stall worker"    // SIGSTOP beyond the heartbeat's timeout, then SIGCONT
	EndBatch        Kind = "end a batch"     // a DispatchBatch terminated by hand
	EndCampaign     Kind = "end a campaign"  // a CampaignDispatch terminated by hand
	EndSettlement   Kind = "end settlement"  // a Settlement terminated by hand
	PauseCampaign   Kind = "pause campaign"  // through the vendors' API, and resumed
	CancelCampaign  Kind = "cancel campaign" // likewise, the last vendor's, while much of it is claimed
	RefuseWebhooks  Kind = "refuse webhooks" // nobody takes them for a while
	BurstThrottle   Kind = "burst of 130429"
	BurstPair       Kind = "burst of 131056"
	BurstErrors     Kind = "burst of 131000"
	BurstReset      Kind = "burst of resets before acceptance"
	BurstResetAfter Kind = "burst of resets after acceptance"
	BurstHang       Kind = "burst of time-outs after acceptance"
)

// Kinds lists every harm.
func Kinds() []Kind {
	return []Kind{
		KillWorker, KillRelay, KillWebhook, KillGateway, KillTemporal, RestartRedis, EmptyRedis, CrashPostgres,
		StallRelay, StallWorker, EndBatch, EndCampaign, EndSettlement, PauseCampaign, CancelCampaign, RefuseWebhooks,
		BurstThrottle, BurstPair, BurstErrors, BurstReset, BurstResetAfter, BurstHang,
	}
}

// Harm is one line of a schedule.
type Harm struct {
	At    time.Duration // since the campaigns were approved
	Kind  Kind
	Which int           // of the processes, vendors or campaigns, from zero
	For   time.Duration // stalls and refusals: how long
	Times int           // bursts: how many requests
}

// String is the harm as a run prints it.
func (h Harm) String() string {
	out := fmt.Sprintf("%5.1fs %s", h.At.Seconds(), h.Kind)
	switch {
	case h.Times > 0:
		return fmt.Sprintf("%s × %d", out, h.Times)
	case h.For > 0:
		return fmt.Sprintf("%s %d for %.1fs", out, h.Which+1, h.For.Seconds())
	}
	return fmt.Sprintf("%s %d", out, h.Which+1)
}

// Schedule returns the harms that follow from a seed: each kind once in random order,
// then again, until there are n, at random times within span. A stalled relay, which
// takes longest, comes early and once.
func Schedule(seed uint64, n int, span time.Duration) []Harm {
	rng := rand.New(rand.NewPCG(seed, 0x63686173)) //nolint:gosec // reproducible, no secret
	var deck []Kind
	stalls := 0
	out := make([]Harm, 0, n)
	for len(out) < n {
		if len(deck) == 0 {
			deck = Kinds()
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		kind := deck[0]
		deck = deck[1:]
		if kind == StallRelay {
			if stalls++; stalls > 1 {
				continue
			}
		}
		out = append(out, draw(rng, kind, span))
	}
	slices.SortStableFunc(out, func(a, b Harm) int { return cmp.Compare(a.At, b.At) })
	return out
}

func draw(rng *rand.Rand, kind Kind, span time.Duration) Harm {
	h := Harm{Kind: kind, Which: rng.IntN(vendors), At: time.Second + time.Duration(rng.Int64N(int64(span)))}
	switch kind {
	case StallRelay:
		h.At = time.Second + time.Duration(rng.Int64N(int64(span)/3+1))
		h.For = 32*time.Second + time.Duration(rng.Int64N(int64(3*time.Second))) // the relay's lease is 30 s
	case StallWorker:
		h.For = 11*time.Second + time.Duration(rng.Int64N(int64(4*time.Second))) // the heartbeat's timeout is 10 s
	case RefuseWebhooks, PauseCampaign:
		h.For = 2*time.Second + time.Duration(rng.Int64N(int64(6*time.Second)))
	case BurstThrottle, BurstPair, BurstErrors:
		h.Times = 20 + rng.IntN(60)
	case BurstReset, BurstResetAfter, BurstHang:
		h.Times = 3 + rng.IntN(12)
	case CancelCampaign:
		h.Which = vendors - 1
	default:
	}
	return h
}
