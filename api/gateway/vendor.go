package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/store"
)

// vendors is the calling vendor's own settings.
type vendors struct{ store *store.Store }

type vendorBody struct {
	ID            vendor.ID     `json:"id"`
	Name          string        `json:"name"`
	Plan          string        `json:"plan" doc:"Which platform fees apply"`
	Status        vendor.Status `json:"status" enum:"ACTIVE,SUSPENDED,CLOSED"`
	DefaultRegion string        `json:"default_region" doc:"Country of national phone numbers, ISO 3166-1 alpha-2"`
	Currency      string        `json:"currency" doc:"ISO 4217"`
	TimeZone      string        `json:"time_zone" doc:"IANA"`
	CreatedAt     time.Time     `json:"created_at"`

	UnknownOutcomes unknownBody `json:"unknown_outcomes" doc:"What becomes of a message that left and of which Meta never told anything"`
}

// unknownBody is a vendor's policy by the category of the message.
type unknownBody struct {
	Marketing failure.Policy `json:"marketing" enum:"UNCONFIRMED,RETRY" doc:"UNCONFIRMED: it is not sent again, it may have arrived. RETRY: it is, and may arrive twice"`
	Utility   failure.Policy `json:"utility" enum:"UNCONFIRMED,RETRY" doc:"Of utility and authentication messages"`
}

func newVendorBody(v vendor.Vendor) vendorBody {
	return vendorBody{
		ID: v.ID, Name: v.Name, Plan: v.Plan, Status: v.Status, DefaultRegion: v.DefaultRegion,
		Currency: v.Currency, TimeZone: v.TimeZone, CreatedAt: v.CreatedAt,
		UnknownOutcomes: unknownBody{failure.Policy(v.UnknownMarketing), failure.Policy(v.UnknownUtility)},
	}
}

func (h *vendors) get(ctx context.Context, who httpx.Principal, _ *httpx.None) (*httpx.Versioned[vendorBody], error) {
	v, err := h.store.Vendor(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	return httpx.WithVersion(newVendorBody(v), v.Version), nil
}

type changeVendorInput struct {
	IfMatch string `header:"If-Match" doc:"ETag of the settings that the change is based on; without it the last word wins"`
	Body    struct {
		Name          *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		DefaultRegion *string `json:"default_region,omitempty"`
		TimeZone      *string `json:"time_zone,omitempty"`

		UnknownOutcomes struct {
			Marketing *string `json:"marketing,omitempty" enum:"UNCONFIRMED,RETRY"`
			Utility   *string `json:"utility,omitempty" enum:"UNCONFIRMED,RETRY"`
		} `json:"unknown_outcomes,omitzero" doc:"Decides about messages whose grace period ends from now on"`
	}
}

// change sets what is given and leaves the rest. The currency stays: the wallet is in it.
func (h *vendors) change(ctx context.Context, who httpx.Principal, in *changeVendorInput) (*httpx.Versioned[vendorBody], error) {
	based, err := httpx.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	v, err := h.store.ChangeVendor(ctx, who.Vendor, based, func(v *vendor.Vendor) error {
		set(&v.Name, in.Body.Name)
		set(&v.DefaultRegion, in.Body.DefaultRegion)
		set(&v.TimeZone, in.Body.TimeZone)
		set(&v.UnknownMarketing, in.Body.UnknownOutcomes.Marketing)
		set(&v.UnknownUtility, in.Body.UnknownOutcomes.Utility)
		return v.Check()
	})
	if errors.Is(err, vendor.ErrVersion) {
		return nil, httpx.ErrVersion()
	}
	if err != nil {
		return nil, err
	}
	return httpx.WithVersion(newVendorBody(v), v.Version), nil
}

// set replaces a text by the one given, if one is.
func set(at, given *string) {
	if given != nil {
		*at = strings.TrimSpace(*given)
	}
}
