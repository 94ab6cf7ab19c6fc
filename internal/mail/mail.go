// Package mail writes the product's mails and gives them to an SMTP server. Each mail
// has a text and an HTML part made from one value. It logs nothing, and its errors hold
// no address.
package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/kloyst/kloyst-core/internal/errs"
)

//go:embed templates/*
var files embed.FS

// TLS says how much the connection to the SMTP server must be protected.
type TLS string

// The policies, as SMTP_TLS names them.
const (
	Mandatory     TLS = "mandatory"     // STARTTLS, or no mail
	Opportunistic TLS = "opportunistic" // STARTTLS where the server offers it
	None          TLS = "none"          // plain: a server on this machine, or a test's
)

// Options says where mail goes and whom it is from.
type Options struct {
	Addr string // SMTP_ADDR, host:port
	TLS  TLS    // SMTP_TLS
	From string // MAIL_FROM, "Name <address>"
}

// timeout of one mail, from dialling to the server's word. Servers that grey-list or
// look up the sender take some seconds to answer.
const timeout = 30 * time.Second

// Sender sends mails. It is safe for concurrent use; each mail has its own connection.
type Sender struct {
	host   string
	port   int
	policy gomail.TLSPolicy
	from   string
	text   *texttemplate.Template
	html   *htmltemplate.Template
}

// ErrNotSent says that the server did not take the mail now; it may be tried again.
var ErrNotSent = errs.New(errs.Unavailable, "mail.not_sent", "the mail server did not take the mail")

// ErrRefused says that the server will never take this mail: a wrong address, mostly.
var ErrRefused = errs.New(errs.Invalid, "mail.refused", "the mail server refused the mail for good")

// New checks the options and reads the templates. It does not connect.
//
// Errors: mail.bad_config.
func New(o Options) (*Sender, error) {
	host, portText, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, errs.New(errs.Invalid, "mail.bad_config", "SMTP_ADDR is not host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, errs.New(errs.Invalid, "mail.bad_config", "SMTP_ADDR is not host:port")
	}
	if _, err := netmail.ParseAddress(o.From); err != nil {
		return nil, errs.New(errs.Invalid, "mail.bad_config", "MAIL_FROM is not an address")
	}
	policy, ok := map[TLS]gomail.TLSPolicy{
		Mandatory: gomail.TLSMandatory, Opportunistic: gomail.TLSOpportunistic, None: gomail.NoTLS,
	}[o.TLS]
	if !ok {
		return nil, errs.New(errs.Invalid, "mail.bad_config", "SMTP_TLS is not mandatory, opportunistic or none")
	}
	s := &Sender{host: host, port: int(port), policy: policy, from: o.From}
	if s.text, err = texttemplate.New("").Option("missingkey=error").ParseFS(files, "templates/*.txt"); err != nil {
		return nil, fmt.Errorf("read text templates: %w", err)
	}
	if s.html, err = htmltemplate.New("").Option("missingkey=error").ParseFS(files, "templates/*.html"); err != nil {
		return nil, fmt.Errorf("read HTML templates: %w", err)
	}
	return s, nil
}

// Verification is the mail that proves an e-mail address.
type Verification struct {
	To     string
	Name   string // of the person
	Vendor string // of the company
	Link   string // opens the page that confirms; holds Token
	Token  string // for those who confirm by the API
	Hours  int    // how long it works
}

// SendVerification sends the mail that proves an address.
//
// Errors: mail.not_sent, mail.refused.
func (s *Sender) SendVerification(ctx context.Context, v Verification) error {
	return s.send(ctx, v.To, "Confirm your e-mail address", "verification", v)
}

// MappingReminder is the mail about an uploaded file that waits for its mapping.
type MappingReminder struct {
	To      string
	Name    string // of the person
	Vendor  string // of the company
	File    string // the uploaded file's name
	Import  string // its id
	Link    string // the import in the API
	Expires time.Time
}

// SendMappingReminder reminds whoever uploaded a file that it waits for its mapping.
//
// Errors: mail.not_sent, mail.refused.
func (s *Sender) SendMappingReminder(ctx context.Context, m MappingReminder) error {
	return s.send(ctx, m.To, "Your contact file waits for you", "mapping", m)
}

// LowBalance is the mail that tells of a wallet below its threshold. Amounts are written out.
type LowBalance struct {
	To                       string
	Name                     string // of the person
	Vendor                   string // of the company
	Balance, Held, Threshold string
}

// SendLowBalance sends the mail that a wallet runs low.
//
// Errors: mail.not_sent, mail.refused.
func (s *Sender) SendLowBalance(ctx context.Context, l LowBalance) error {
	return s.send(ctx, l.To, "Your wallet runs low", "low_balance", l)
}

func (s *Sender) send(ctx context.Context, to, subject, name string, data any) error {
	msg := gomail.NewMsg()
	if err := msg.From(s.from); err != nil {
		return errs.New(errs.Internal, "mail.bad_config", "MAIL_FROM is not an address")
	}
	if err := msg.To(to); err != nil || strings.ContainsAny(to, "\r\n") {
		return ErrRefused
	}
	msg.Subject(subject)
	msg.SetDate()
	msg.SetMessageID()
	var text, html bytes.Buffer
	if err := s.text.ExecuteTemplate(&text, name+".txt", data); err != nil {
		return fmt.Errorf("write mail %s: %w", name, err)
	}
	if err := s.html.ExecuteTemplate(&html, name+".html", data); err != nil {
		return fmt.Errorf("write mail %s: %w", name, err)
	}
	msg.SetBodyString(gomail.TypeTextPlain, text.String())
	msg.AddAlternativeString(gomail.TypeTextHTML, html.String())
	return s.deliver(ctx, msg)
}

// Ping connects to the server, which greets, starts TLS as the policy says, and takes its leave. No
// mail is sent.
//
// Errors: mail.not_sent.
func (s *Sender) Ping(ctx context.Context) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if err := c.DialWithContext(ctx); err != nil {
		return ErrNotSent.With(err)
	}
	if err := c.Close(); err != nil {
		return ErrNotSent.With(err)
	}
	return nil
}

func (s *Sender) client() (*gomail.Client, error) {
	c, err := gomail.NewClient(
		s.host,
		gomail.WithPort(s.port), gomail.WithTLSPolicy(s.policy), gomail.WithTimeout(timeout), gomail.WithHELO("kloyst.localdomain"),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}),
	)
	if err != nil {
		return nil, ErrNotSent.With(errors.New("options refused"))
	}
	return c, nil
}

func (s *Sender) deliver(ctx context.Context, msg *gomail.Msg) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, msg)
	if err == nil {
		return nil
	}
	// Errors of the library print the recipient: only what they mean is kept.
	if e, ok := errors.AsType[*gomail.SendError](err); ok && !e.IsTemp() && e.ErrorCode() >= 500 {
		return ErrRefused.With(fmt.Errorf("smtp code %d", e.ErrorCode()))
	}
	return ErrNotSent.With(errors.New(phase(err)))
}

// phase tells how far a mail got, without repeating anything of it.
func phase(err error) string {
	if e, ok := errors.AsType[*gomail.SendError](err); ok {
		return "smtp: " + e.Reason.String()
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "time-out"
	}
	return "connection"
}
