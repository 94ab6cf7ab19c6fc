package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// register makes the vendor and its owner, and confirms the e-mail from the caught mail.
func (r *run) register(ctx context.Context) error {
	var made struct {
		Vendor string `json:"vendor_id"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/auth/register", map[string]any{
		"vendor_name": "Acme Foods", "email": r.result.Owner.Email, "password": r.result.Owner.Password, "name": "Asha Rao",
		"default_region": "IN", "currency": "USD", "time_zone": "Asia/Kolkata",
	}, &made); err != nil {
		return err
	}
	r.vendor = made.Vendor
	r.say("vendor %s registered, waiting for the confirmation mail", r.vendor)
	token := ""
	err := r.until(ctx, time.Minute, "mail", func() (progress, error) {
		var err error
		token, err = r.caughtToken(ctx)
		return progress{over: token != "", text: "caught"}, err
	})
	if err != nil {
		return err
	}
	if err := r.front.call(ctx, http.MethodPost, "/auth/verify-email", map[string]any{"token": token}, nil); err != nil {
		return err
	}
	if err := r.front.enter(ctx, "/auth/login", r.result.Owner); err != nil {
		return err
	}
	r.result.Secrets = append(r.result.Secrets, token, r.front.login.Access, r.front.login.Refresh)
	return nil
}

func (r *run) caughtToken(ctx context.Context) (string, error) {
	var found struct {
		Messages []struct {
			ID string `json:"ID"`
		} `json:"messages"`
	}
	if err := r.mail.call(ctx, http.MethodGet, "/api/v1/search?query="+url.QueryEscape("to:"+r.result.Owner.Email), nil, &found); err != nil || len(found.Messages) == 0 {
		return "", err
	}
	var mail struct {
		Text string `json:"Text"`
	}
	if err := r.mail.call(ctx, http.MethodGet, "/api/v1/message/"+found.Messages[0].ID, nil, &mail); err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?s)token \(POST /auth/verify-email\):\s+(\S+)`).FindStringSubmatch(mail.Text)
	if m == nil {
		return "", errors.New("the confirmation mail holds no token")
	}
	return m[1], nil
}

// undeliverable is Meta's code for a person who is not on WhatsApp.
// Source: Meta, Cloud API error codes, read 2026-09.
const undeliverable = 131026

// connect makes a business at Meta, connects it and its number, and reads its templates.
func (r *run) connect(ctx context.Context) error {
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	if err := r.sim.call(ctx, http.MethodPost, "/_sim/wabas", map[string]any{
		"name": "Acme Foods", "currency": "USD",
		"numbers": []map[string]any{{"display_phone_number": fmt.Sprintf("+1 555 %07d", time.Now().UnixNano()%10_000_000), "verified_name": "Acme Foods", "throughput_level": "HIGH"}},
	}, &biz); err != nil {
		return err
	}
	r.simNumber = biz.Numbers[0].ID
	r.result.Secrets = append(r.result.Secrets, biz.Token)
	if err := r.sim.call(ctx, http.MethodPost, "/_sim/faults", map[string]any{"rules": []map[string]any{{
		"name":   "not on WhatsApp",
		"match":  map[string]any{"phone_number_id": r.simNumber, "to_prefix": refusedPrefix},
		"effect": map[string]any{"error": undeliverable},
	}}}, nil); err != nil {
		return err
	}
	var waba, number struct {
		ID   string `json:"id"`
		Rate int    `json:"rate_per_second"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/wabas", map[string]any{"waba_id": biz.WABA, "access_token": biz.Token}, &waba); err != nil {
		return err
	}
	if err := r.front.call(ctx, http.MethodPost, "/sender-numbers", map[string]any{"waba_id": waba.ID, "phone_number_id": r.simNumber}, &number); err != nil {
		return err
	}
	r.waba, r.number = waba.ID, number.ID
	if err := r.front.call(ctx, http.MethodPost, "/wabas/"+r.waba+"/template-sync", nil, nil); err != nil {
		return err
	}
	return r.until(ctx, time.Minute, "template sync", func() (progress, error) {
		var list struct {
			Items []struct {
				ID       string `json:"id"`
				Name     string `json:"name"`
				Sendable bool   `json:"sendable"`
			} `json:"items"`
		}
		err := r.front.call(ctx, http.MethodGet, "/templates", nil, &list)
		for _, t := range list.Items {
			if t.Name == "seasonal_promotion" && t.Sendable {
				r.template = t.ID
			}
		}
		return progress{over: r.template != "", text: fmt.Sprintf("%d templates, number at %d/s", len(list.Items), number.Rate)}, err
	})
}

// fund loads the rate card and a top-up with the operator's commands.
func (r *run) fund(ctx context.Context) error {
	card := r.Stack.Root + "/deploy/rate-cards/usd-2026-10-01.csv"
	if err := r.operator(ctx, nil, "rate-card", "load", card); err != nil {
		return err
	}
	amount := fmt.Sprintf("%d.00", r.Contacts/4+100)
	r.say("rate card loaded, topping up %s USD", amount)
	return r.operator(ctx, nil, "wallet", "top-up", "--vendor", r.vendor, "--amount", amount, "--currency", "USD", "--reference", "demo-"+r.vendor)
}

// operator runs one of this program's verbs with the operator's environment.
func (r *run) operator(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, r.Self, args...)                            //nolint:gosec // this program itself
	cmd.Env = append(r.Stack.Env(devstack.Operator), "PATH="+os.Getenv("PATH")) //nolint:forbidigo // a child's environment
	text, err := cmd.Output()
	if out != nil && len(text) > 0 {
		if jerr := json.Unmarshal([]byte(strings.TrimSpace(string(text))), out); jerr != nil && err == nil {
			err = jerr
		}
	}
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("kloyst %s: %w: %s", strings.Join(args[:2], " "), err, e.Stderr)
		}
		return fmt.Errorf("kloyst %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}
