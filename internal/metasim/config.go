package metasim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Config is how Meta behaves; PUT /_sim/config changes any of it while the
// simulator runs. Rates are shares of 1. The zero value is not usable: start
// from DefaultConfig.
type Config struct {
	// LatencyMS is how long an accepted or refused POST /messages takes to be
	// answered, give or take JitterMS.
	LatencyMS int `json:"latency_ms"`
	JitterMS  int `json:"jitter_ms"`

	// Fates of accepted messages: FailedRate fail later with FailedCode,
	// DeliveredRate of all are delivered, ReadRate of those are read; the rest
	// stays sent. FailedAfterSentRate of the failing ones are sent first.
	FailedRate          float64 `json:"failed_rate"`
	FailedCode          int     `json:"failed_code"`
	FailedAfterSentRate float64 `json:"failed_after_sent_rate"`
	DeliveredRate       float64 `json:"delivered_rate"`
	ReadRate            float64 `json:"read_rate"`
	// SkipDeliveredRate of the read messages never say delivered.
	SkipDeliveredRate float64 `json:"skip_delivered_rate"`
	// DuplicateRate and ReorderRate of the messages have every status twice,
	// or their statuses the wrong way round.
	DuplicateRate float64 `json:"duplicate_rate"`
	ReorderRate   float64 `json:"reorder_rate"`

	// Delays from acceptance to sent, sent to delivered, delivered to read,
	// each spread evenly over ± DelayJitter of itself.
	SentDelayMS      int     `json:"sent_delay_ms"`
	DeliveredDelayMS int     `json:"delivered_delay_ms"`
	ReadDelayMS      int     `json:"read_delay_ms"`
	DelayJitter      float64 `json:"delay_jitter"`

	// Throughput per number and second by level, inbound and outbound
	// together. BURST is a token bucket of ThroughputBurst seconds' worth;
	// SLIDING refuses the message that would be one too many in any second.
	StandardRate    int     `json:"standard_rate"`
	HighRate        int     `json:"high_rate"`
	CoexistenceRate int     `json:"coexistence_rate"`
	ThroughputMode  string  `json:"throughput_mode"`
	ThroughputBurst float64 `json:"throughput_burst"`
	// PairLimit is one message per 6 s to one person, 45 in a burst that has
	// to be waited off.
	PairLimit bool `json:"pair_limit"`
	// ThrottleStatus is the HTTP status of 4, 80007, 130429, 131048 and
	// 131056; Meta's own pages disagree: 400 (default), 429 or 403.
	ThrottleStatus int `json:"throttle_status"`
	// PortfolioLimit is how many people outside a service window a portfolio
	// may reach in 24 hours; 0 is unlimited. PortfolioEffect says what happens
	// to the next one: ASYNC a failed status, SYNC a refusal, both 131048.
	PortfolioLimit  int    `json:"portfolio_limit"`
	PortfolioEffect string `json:"portfolio_effect"`
	// ManagementLimit is how many management calls per account and hour.
	ManagementLimit int `json:"management_limit"`

	// ServiceWindow fails free-form messages (131047) unless the person wrote
	// within 24 hours. USMarketingBlock fails marketing to US numbers (131049).
	ServiceWindow    bool `json:"service_window"`
	USMarketingBlock bool `json:"us_marketing_block"`
	// PrependCountryCode reads a recipient without + as a national number.
	// Off by default: what clients report is that digits pass as they are.
	PrependCountryCode bool `json:"prepend_country_code"`
	// MessageStatus puts message_status into answers to template sends.
	MessageStatus bool `json:"message_status"`

	// PacingFirst messages of a template that is new or unpaused go out, the
	// rest is held_for_quality_assessment until a verdict: a good one by itself
	// after PacingDelayMS, a bad one by POST /_sim/templates/{id}/status
	// {"pacing":"bad"}. 0: no pacing.
	PacingFirst   int `json:"pacing_first"`
	PacingDelayMS int `json:"pacing_delay_ms"`
	// ReviewDelayMS is how long a new template stays PENDING.
	ReviewDelayMS int `json:"review_delay_ms"`

	// WebhookVersion below 24 adds the conversation object to sent statuses.
	WebhookVersion int `json:"webhook_version"`
	// BSUID adds contacts[] and recipient_user_id (since 2026-04).
	BSUID bool `json:"bsuid"`
	// OmitCallbackDataOnFailed leaves biz_opaque_callback_data out of failed.
	OmitCallbackDataOnFailed bool `json:"omit_callback_data_on_failed"`
	WebhookBatch             int  `json:"webhook_batch"`       // updates per POST, Meta's most is 1,000
	WebhookConcurrency       int  `json:"webhook_concurrency"` // POSTs at once, at most 64
	WebhookTimeoutMS         int  `json:"webhook_timeout_ms"`
	WebhookRetryMS           int  `json:"webhook_retry_ms"` // the first retry's delay; it doubles up to an hour
	WebhookMaxPendingBytes   int  `json:"webhook_max_pending_bytes"`
	// WebhookDupRate of the POSTs are made a second time after a 200.
	WebhookDupRate float64 `json:"webhook_dup_rate"`
	// WebhookShuffle mixes the updates of one flush.
	WebhookShuffle bool `json:"webhook_shuffle"`
}

// Values of Config.ThroughputMode and Config.PortfolioEffect.
const (
	ThroughputBurst   = "BURST"
	ThroughputSliding = "SLIDING"
	PortfolioAsync    = "ASYNC"
	PortfolioSync     = "SYNC"
)

// Retry limits of webhooks. Source: Meta, webhooks overview, read 2026-09
// ("decreasing frequency over the next 7 days"); the steps are not published.
const (
	webhookRetryMax  = time.Hour
	webhookRetryLife = 7 * 24 * time.Hour
)

// DefaultConfig suits a demonstration: no faults, 97 % delivered, 60 % of them
// read, 1 % failing after acceptance, Meta's published limits.
func DefaultConfig() Config {
	return Config{
		FailedRate: 0.01, FailedCode: 131026, FailedAfterSentRate: 0.5,
		DeliveredRate: 0.97, ReadRate: 0.60,
		SentDelayMS: 200, DeliveredDelayMS: 800, ReadDelayMS: 2000, DelayJitter: 0.5,
		StandardRate: 80, HighRate: 1000, CoexistenceRate: 20,
		ThroughputMode: ThroughputBurst, ThroughputBurst: 1,
		PairLimit: true, ThrottleStatus: 400,
		PortfolioEffect: PortfolioAsync, ManagementLimit: 5000,
		ServiceWindow: true, MessageStatus: true,
		PacingDelayMS: 60_000, ReviewDelayMS: 2000,
		WebhookVersion: 24, BSUID: true,
		WebhookBatch: 1000, WebhookConcurrency: 8, WebhookTimeoutMS: 10_000,
		WebhookRetryMS: 500, WebhookMaxPendingBytes: 256 << 20,
	}
}

// with returns c changed by the keys of a JSON object, or why it may not be.
func (c Config) with(patch []byte) (Config, error) {
	dec := json.NewDecoder(bytes.NewReader(patch))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	return c, c.check()
}

func (c Config) check() error {
	for name, rate := range map[string]float64{
		"failed_rate": c.FailedRate, "failed_after_sent_rate": c.FailedAfterSentRate,
		"delivered_rate": c.DeliveredRate, "read_rate": c.ReadRate,
		"skip_delivered_rate": c.SkipDeliveredRate, "duplicate_rate": c.DuplicateRate,
		"reorder_rate": c.ReorderRate, "delay_jitter": c.DelayJitter, "webhook_dup_rate": c.WebhookDupRate,
	} {
		if rate < 0 || rate > 1 {
			return fmt.Errorf("config: %s %v is not between 0 and 1", name, rate)
		}
	}
	for name, n := range map[string]int{
		"standard_rate": c.StandardRate, "high_rate": c.HighRate, "coexistence_rate": c.CoexistenceRate,
		"webhook_timeout_ms": c.WebhookTimeoutMS, "webhook_retry_ms": c.WebhookRetryMS,
		"management_limit": c.ManagementLimit, "webhook_max_pending_bytes": c.WebhookMaxPendingBytes,
	} {
		if n <= 0 {
			return fmt.Errorf("config: %s %d is not positive", name, n)
		}
	}
	switch {
	case c.ThroughputMode != ThroughputBurst && c.ThroughputMode != ThroughputSliding:
		return fmt.Errorf("config: throughput_mode %q is neither BURST nor SLIDING", c.ThroughputMode)
	case c.PortfolioEffect != PortfolioAsync && c.PortfolioEffect != PortfolioSync:
		return fmt.Errorf("config: portfolio_effect %q is neither ASYNC nor SYNC", c.PortfolioEffect)
	case c.WebhookBatch < 1 || c.WebhookBatch > 1000:
		return fmt.Errorf("config: webhook_batch %d is not between 1 and 1000", c.WebhookBatch)
	case c.WebhookConcurrency < 1 || c.WebhookConcurrency > maxWebhookWorkers:
		return fmt.Errorf("config: webhook_concurrency %d is not between 1 and %d", c.WebhookConcurrency, maxWebhookWorkers)
	case c.ThrottleStatus < 400 || c.ThrottleStatus > 499:
		return fmt.Errorf("config: throttle_status %d is not a 4xx", c.ThrottleStatus)
	}
	return nil
}
