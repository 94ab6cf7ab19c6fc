package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/password"
	"github.com/kloyst/kloyst-core/store"
)

// vendorCmd is what an operator does with vendors. It wants the operator's database role.
type vendorCmd struct {
	Ls     vendorLsCmd     `cmd:"" help:"List the vendors."`
	Create vendorCreateCmd `cmd:"" help:"Register a vendor whose owner you vouch for: no mail is sent."`
}

type vendorLsCmd struct{}

// Run prints one line a vendor.
func (vendorLsCmd) Run(ctx context.Context, env *cliEnv) error {
	db, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := db.ListVendors(ctx)
	if err != nil {
		return err
	}
	return printVendors(os.Stdout, all)
}

func printVendors(w io.Writer, all []vendor.Vendor) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tSTATUS\tPLAN\tREGION\tCURRENCY\tTIME ZONE\tCREATED") // Flush tells
	for _, v := range all {
		// Flush tells
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Name, v.Status, v.Plan, v.DefaultRegion, v.Currency,
			v.TimeZone, v.CreatedAt.Format(time.RFC3339))
	}
	return t.Flush()
}

type vendorCreateCmd struct {
	Name          string `required:"" help:"Name of the company."`
	Email         string `required:"" help:"E-mail address of the owner."`
	OwnerName     string `help:"Name of the owner; default: the company's."`
	Region        string `required:"" help:"Country of national phone numbers, ISO 3166 (IN)."`
	Currency      string `required:"" help:"Currency of the wallet, ISO 4217 (INR)."`
	TimeZone      string `default:"UTC" help:"IANA time zone (Asia/Kolkata)."`
	PasswordStdin bool   `help:"Read the owner's password from standard input; without it one is made and printed once."`
}

// Run makes the vendor and prints its id, and the password if it made one.
func (c *vendorCreateCmd) Run(ctx context.Context, env *cliEnv) error {
	cfg, err := env.Config()
	if err != nil {
		return err
	}
	ring, err := crypt.NewRing(cfg.Master())
	if err != nil {
		return fmt.Errorf("MASTER_KEY: %w", err)
	}
	secret, made, err := c.password(os.Stdin)
	if err != nil {
		return err
	}
	n, err := c.vendor(ctx, ring, secret)
	if err != nil {
		return err
	}
	db, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CreateVendor(ctx, n.Vendor.ID, n); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "vendor %s\nowner  %s\n", n.Vendor.ID, n.Owner.ID)
	if made {
		fmt.Fprintf(os.Stdout, "password %s\n", secret)
	}
	return nil
}

// password returns the owner's password and whether it was made here.
func (c *vendorCreateCmd) password(in io.Reader) (secret string, made bool, err error) {
	if !c.PasswordStdin {
		return rand.Text(), true, nil
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

// vendor makes all that the store needs, by the rules that a registration has.
func (c *vendorCreateCmd) vendor(ctx context.Context, ring *crypt.Ring, secret string) (store.NewVendor, error) {
	email := strings.ToLower(strings.TrimSpace(c.Email))
	n := store.NewVendor{
		Vendor: vendor.Vendor{ID: id.New[vendor.ID](), Name: c.Name, DefaultRegion: c.Region, Currency: c.Currency, TimeZone: c.TimeZone},
		Owner:  vendor.User{ID: id.New[vendor.UserID](), Email: email, Name: c.OwnerName, Role: vendor.Owner, EmailVerified: true},
	}
	if n.Owner.Name == "" {
		n.Owner.Name = c.Name
	}
	err := errors.Join(n.Vendor.Check(), vendor.CheckPersonName(n.Owner.Name), vendor.CheckPassword(secret, email))
	if err != nil {
		return n, err
	}
	if n.Owner.PasswordHash, err = password.New(1).Hash(ctx, secret); err != nil {
		return n, err
	}
	n.WrappedKeys, err = ring.NewVendorKeys(n.Vendor.ID)
	return n, err
}
