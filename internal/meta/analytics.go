package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// PricingPoint is one line of Meta's own count of what it bills, of one UTC day.
type PricingPoint struct {
	Start    time.Time
	Country  string // ISO 3166-1 alpha-2
	Phone    string // of the sender, digits
	Tier     string // of a volume discount; may be empty
	Type     string // REGULAR, FREE_CUSTOMER_SERVICE, FREE_ENTRY_POINT
	Category string // MARKETING, UTILITY …
	Volume   int64
	Cost     *money.Micros // nil: not told, as under a partner's credit line
}

// PricingAnalytics reads Meta's count of an account's messages by day, from from on, before
// until; both are UTC midnights. Its figures are approximate, and those of the last days
// still change.
// Source: Meta, pricing analytics, read 2026-09.
func (c *Client) PricingAnalytics(ctx context.Context, token, account string, from, until time.Time) ([]PricingPoint, error) {
	path, err := segment(account)
	if err != nil {
		return nil, err
	}
	field := fmt.Sprintf(`pricing_analytics.start(%d).end(%d).granularity(DAILY).phone_numbers([]).country_codes([])`+
		`.metric_types(["COST","VOLUME"]).dimensions(["COUNTRY","PHONE","PRICING_CATEGORY","PRICING_TYPE","TIER"])`, from.Unix(), until.Unix())
	var out struct {
		Analytics struct {
			Data []struct {
				Points []struct {
					Start    int64       `json:"start"`
					Country  string      `json:"country"`
					Phone    string      `json:"phone_number"`
					Tier     string      `json:"tier"`
					Type     string      `json:"pricing_type"`
					Category string      `json:"pricing_category"`
					Volume   int64       `json:"volume"`
					Cost     json.Number `json:"cost"`
				} `json:"data_points"`
			} `json:"data"`
		} `json:"pricing_analytics"`
	}
	if err := c.get(ctx, token, path, url.Values{"fields": {field}}, &out); err != nil {
		return nil, err
	}
	var all []PricingPoint
	for _, d := range out.Analytics.Data {
		for _, p := range d.Points {
			point := PricingPoint{
				Start: time.Unix(p.Start, 0).UTC(), Country: p.Country, Phone: p.Phone, Tier: p.Tier, Type: p.Type, Category: p.Category, Volume: p.Volume,
			}
			if p.Cost != "" {
				cost, err := money.Rounded(p.Cost.String())
				if err != nil {
					return nil, errs.Wrap(errs.Unavailable, "meta.bad_answer", "Meta's answer cannot be read", err)
				}
				point.Cost = &cost
			}
			all = append(all, point)
		}
	}
	return all, nil
}
