package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/statement"
	"github.com/kloyst/kloyst-core/store"
)

// walletCmd is what an operator does to wallets.
type walletCmd struct {
	TopUp     walletTopUpCmd     `cmd:"" help:"Add a payment to a vendor's wallet; the same reference again changes nothing."`
	Adjust    walletAdjustCmd    `cmd:"" help:"Correct a vendor's wallet by hand, upwards or downwards; the same reference again changes nothing."`
	Statement walletStatementCmd `cmd:"" help:"Write a vendor's statement of a period as JSON, CSV, XLSX or PDF."`
	Billing   walletBillingCmd   `cmd:"" help:"Compare what was charged with what Meta says it bills, as one JSON line: of a campaign, or of a month."`
	Reconcile walletReconcileCmd `cmd:"" help:"Check every balance against the ledger; exits 1 where something does not add up."`
}

type walletTopUpCmd struct {
	Vendor    string `required:"" help:"Vendor's id."`
	Amount    string `required:"" help:"As a decimal: 250.00."`
	Currency  string `required:"" help:"ISO 4217; must be the wallet's."`
	Reference string `required:"" help:"Of the payment: a bank's or an invoice's number."`
	Actor     string `default:"operator" help:"Who does it, for the ledger."`
	JSON      bool   `help:"Print one JSON line."`
}

// Run posts the top-up.
func (c walletTopUpCmd) Run(ctx context.Context, env *cliEnv) error {
	amount, err := money.Parse(c.Amount)
	if err != nil {
		return err
	}
	posting := wallet.TopUp("top-up/"+c.Reference, amount)
	posting.Actor = c.Actor
	return bookByHand(ctx, env, byHand{vendor.ID(c.Vendor), c.Currency, posting, c.JSON})
}

type walletAdjustCmd struct {
	Vendor    string `required:"" help:"Vendor's id."`
	Amount    string `required:"" help:"As a decimal, -12.50 takes away."`
	Currency  string `required:"" help:"ISO 4217; must be the wallet's."`
	Reference string `required:"" help:"Of the decision: a ticket's number."`
	Reason    string `required:"" help:"Why, for the ledger; the vendor sees it."`
	Actor     string `required:"" help:"Who does it, for the ledger."`
	JSON      bool   `help:"Print one JSON line."`
}

// Run posts the adjustment.
func (c walletAdjustCmd) Run(ctx context.Context, env *cliEnv) error {
	amount, err := money.Parse(c.Amount)
	if err != nil {
		return err
	}
	posting := wallet.Adjust("adjust/"+c.Reference, amount, c.Actor, c.Reason)
	return bookByHand(ctx, env, byHand{vendor.ID(c.Vendor), c.Currency, posting, c.JSON})
}

type walletStatementCmd struct {
	Vendor string `required:"" help:"Vendor's id."`
	From   string `help:"First day (2026-10-01), in the vendor's time zone; left out: the first of this month."`
	To     string `help:"Last day, included; left out: today."`
	Format string `default:"json" help:"json, csv, xlsx or pdf."`
	Out    string `help:"File to write; left out: standard output."`
}

// Run writes the statement.
func (c walletStatementCmd) Run(ctx context.Context, env *cliEnv) (err error) {
	format, err := statement.ParseFormat(c.Format)
	if err != nil {
		return err
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.Vendor(ctx, vendor.ID(c.Vendor))
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(v.TimeZone)
	if err != nil {
		return err
	}
	period, err := wallet.NewPeriod(c.From, c.To, zone, time.Now())
	if err != nil {
		return err
	}
	var fonts *pdf.Renderer
	if format == statement.PDF {
		cfg, err := env.Config()
		if err != nil {
			return err
		}
		if fonts, err = pdf.New(cfg.FontDir); err != nil {
			return err
		}
	}
	out := os.Stdout
	if c.Out != "" {
		if out, err = os.Create(c.Out); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
	}
	w := statement.New(format, fonts, out)
	if err := s.WriteStatement(ctx, v.ID, period, w); err != nil {
		return err
	}
	return w.End()
}

type walletBillingCmd struct {
	Vendor   string `required:"" help:"Vendor's id."`
	Campaign string `help:"Only this campaign's messages." xor:"what"`
	Month    string `help:"A month in UTC (2026-11); left out: this one." xor:"what"`
}

// Run compares.
func (c walletBillingCmd) Run(ctx context.Context, env *cliEnv) error {
	at := time.Now()
	if c.Month != "" {
		var err error
		if at, err = time.Parse("2006-01", c.Month); err != nil {
			return errors.New("--month: want a month such as 2026-11")
		}
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	var b wallet.Billing
	if c.Campaign != "" {
		b, err = s.CampaignBilling(ctx, vendor.ID(c.Vendor), campaign.ID(c.Campaign))
	} else {
		b, err = s.MonthBilling(ctx, vendor.ID(c.Vendor), at)
	}
	if err != nil {
		return err
	}
	verdicts := map[wallet.Verdict]any{}
	for verdict, sum := range b.Sums() {
		verdicts[verdict] = map[string]any{"messages": sum.Messages, "amount_micros": sum.Amount}
	}
	counted := []map[string]any{}
	for _, l := range b.Meta {
		counted = append(counted, map[string]any{
			"category": l.Category, "pricing_type": l.Pricing, "volume": l.Volume, "cost_micros": l.Cost, "currency": l.Currency,
		})
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"currency": b.Currency, "verdicts": verdicts, "meta": counted})
}

// byHand is what an operator books.
type byHand struct {
	vendor   vendor.ID
	currency string
	posting  wallet.Posting
	json     bool
}

func bookByHand(ctx context.Context, env *cliEnv, b byHand) error {
	currency, err := money.ParseCurrency(b.currency)
	if err != nil {
		return err
	}
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	applied, err := s.TopUp(ctx, b.vendor, currency, b.posting)
	if err != nil {
		return err
	}
	w, err := s.Wallet(ctx, b.vendor)
	if err != nil {
		return err
	}
	if b.json {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{
			"applied": applied, "currency": w.Currency, "balance_micros": w.Balance, "held_micros": w.Held,
		})
	}
	note := ""
	if !applied {
		note = " (this reference was booked before: nothing changed)"
	}
	fmt.Fprintf(os.Stdout, "balance %s, held %s%s\n", w.Currency.Format(w.Balance), w.Currency.Format(w.Held), note)
	return nil
}

type walletReconcileCmd struct {
	Vendor string `help:"Only this vendor." xor:"which"`
	All    bool   `help:"Every vendor (the default)." xor:"which"`
	JSON   bool   `help:"Print one JSON line."`
}

// errDrift makes the command exit with 1.
var errDrift = errors.New("the ledger does not add up")

// Run checks the wallets, and prints what does not add up.
func (c walletReconcileCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	vendors := []vendor.ID{vendor.ID(c.Vendor)}
	if c.Vendor == "" {
		all, err := s.ListVendors(ctx)
		if err != nil {
			return err
		}
		vendors = vendors[:0]
		for _, v := range all {
			vendors = append(vendors, v.ID)
		}
	}
	var total store.Drift
	wrong := []map[string]any{}
	for _, v := range vendors {
		d, err := s.ReconcileWallet(ctx, v)
		if err != nil {
			return err
		}
		total.Accounts += d.Accounts
		total.Micros += d.Total()
		if !d.OK() {
			wrong = append(wrong, map[string]any{
				"vendor_id": v, "balance_drift_micros": d.Micros, "sum_micros": d.Sum, "unbalanced_transactions": d.Unbalanced,
				"held_by_finished_micros": d.HeldFinished, "uncharged_micros": d.Uncharged,
				"fees_micros": d.Fees, "payments": d.Payments,
			})
		}
	}
	report := map[string]any{
		"vendors": len(vendors), "accounts": total.Accounts, "drift_micros": total.Micros, "ok": len(wrong) == 0, "wrong": wrong,
	}
	if c.JSON {
		err = json.NewEncoder(os.Stdout).Encode(report)
	} else {
		fmt.Fprintf(os.Stdout, "vendors %d, accounts %d, drift %s\n", len(vendors), total.Accounts, total.Micros)
		for _, w := range wrong {
			fmt.Fprintf(os.Stdout, "  %v\n", w)
		}
	}
	if err == nil && len(wrong) > 0 {
		err = errDrift
	}
	return err
}
