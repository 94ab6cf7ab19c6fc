package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
)

// rateCardCmd is what an operator does to prices: they are versions, added and never changed.
type rateCardCmd struct {
	Load rateCardLoadCmd `cmd:"" help:"Load a rate card (Meta's CSV form) as a new version; the same file again changes nothing."`
	Ls   rateCardListCmd `cmd:"" help:"List every version."`
	Fee  rateCardFeeCmd  `cmd:"" help:"Set the platform's fee of a plan, from a day on."`
	Tax  rateCardTaxCmd  `cmd:"" help:"Set the tax of a region, from a day on."`
}

type rateCardLoadCmd struct {
	File          string `arg:"" type:"existingfile" help:"CSV: market, currency, marketing, utility, authentication, authentication-international, service, effective_from."`
	EffectiveFrom string `help:"First day (YYYY-MM-DD) of rows that do not name one."`
	Tiers         string `type:"existingfile" help:"CSV of volume tiers: market, category, from_quantity, rate."`
	Prefixes      string `type:"existingfile" help:"CSV of calling codes: prefix, countries, market, valid_from. Default: the table built in."`
}

// Run loads the file.
func (c rateCardLoadCmd) Run(ctx context.Context, env *cliEnv) error {
	file := pricing.CardFile{From: c.EffectiveFrom, Source: filepath.Base(c.File)}
	for _, part := range []struct {
		path string
		text *string
	}{{c.File, &file.Rates}, {c.Tiers, &file.Tiers}, {c.Prefixes, &file.Prefixes}} {
		if part.path == "" {
			continue
		}
		text, err := os.ReadFile(part.path)
		if err != nil {
			return err
		}
		*part.text = string(text)
	}
	cards, err := pricing.ParseCard(file)
	if err != nil {
		return err
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	added, err := s.LoadRateCard(ctx, cards)
	if err != nil {
		return err
	}
	for _, card := range cards {
		fmt.Fprintf(os.Stdout, "%s from %s: %d prices, %d tiers, %d calling codes\n",
			card.Currency, card.From, len(card.Rates), len(card.Tiers), len(card.Prefixes))
	}
	fmt.Fprintf(os.Stdout, "rate cards added: %d of %d\n", added, len(cards))
	return nil
}

type rateCardListCmd struct {
	JSON bool `help:"One JSON line a version."`
}

// Run prints every version.
func (c rateCardListCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	cards, err := s.ListRateCards(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		for _, r := range cards {
			if err := out.Encode(map[string]any{
				"id": r.ID, "currency": r.Currency, "effective_from": r.From, "source": r.Source,
				"loaded_at": r.LoadedAt.UTC(), "prices": r.Rates, "tiers": r.Tiers,
			}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CURRENCY\tFROM\tPRICES\tTIERS\tSOURCE\tLOADED\tID")
	for _, r := range cards {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", r.Currency, r.From, r.Rates, r.Tiers, r.Source, r.LoadedAt.UTC().Format(time.RFC3339), r.ID)
	}
	return w.Flush()
}

type rateCardFeeCmd struct {
	Plan          string `default:"STANDARD" help:"Plan of the vendors it is for."`
	Currency      string `required:"" help:"ISO 4217."`
	EffectiveFrom string `required:"" help:"First day, YYYY-MM-DD."`
	Fixed         string `default:"0" help:"Per campaign, as a decimal."`
	PerMessage    string `default:"0" help:"Per message, as a decimal."`
	PercentBPS    int64  `name:"percent-bps" help:"Of the messages' price, in basis points (250 is 2.5 %)."`
	Minimum       string `default:"0" help:"At least this much a campaign."`
	Cap           string `default:"0" help:"At most this much a campaign; 0: no cap."`
}

// Run stores the rule.
func (c rateCardFeeCmd) Run(ctx context.Context, env *cliEnv) error {
	currency, err := money.ParseCurrency(c.Currency)
	if err != nil {
		return err
	}
	fee := pricing.FeeRule{PercentBPS: c.PercentBPS}
	for _, part := range []struct {
		text   string
		amount *money.Micros
	}{{c.Fixed, &fee.Fixed}, {c.PerMessage, &fee.PerMessage}, {c.Minimum, &fee.Minimum}, {c.Cap, &fee.Cap}} {
		if *part.amount, err = money.Parse(part.text); err != nil {
			return err
		}
	}
	if err := checkDay(c.EffectiveFrom); err != nil {
		return err
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.SetPlatformFee(ctx, c.Plan, currency, c.EffectiveFrom, fee)
}

type rateCardTaxCmd struct {
	Region        string `required:"" help:"Of the vendors it is for, ISO 3166-1 alpha-2."`
	Name          string `required:"" help:"As it is printed: GST."`
	RateBPS       int64  `name:"rate-bps" required:"" help:"In basis points (1800 is 18 %)."`
	EffectiveFrom string `required:"" help:"First day, YYYY-MM-DD."`
}

// Run stores the rule.
func (c rateCardTaxCmd) Run(ctx context.Context, env *cliEnv) error {
	if err := checkDay(c.EffectiveFrom); err != nil {
		return err
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.SetTax(ctx, c.Region, c.EffectiveFrom, pricing.TaxRule{Name: c.Name, BPS: c.RateBPS})
}

func checkDay(text string) error {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return fmt.Errorf("--effective-from is not a day (YYYY-MM-DD)")
	}
	return nil
}
