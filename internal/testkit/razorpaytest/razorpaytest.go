// Package razorpaytest stands in for Razorpay: it makes orders and tells of payments, as
// strictly as the original where its documentation says how strict that is. It shares no
// code with the product.
package razorpaytest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// The account's keys.
const (
	KeyID         = "rzp_test_1DP5mmOlF5G5ag"
	KeySecret     = "thisissuppose2bsecret"
	WebhookSecret = "a webhook secret"
)

// Server is one Razorpay account.
type Server struct {
	URL string

	mu       sync.Mutex
	orders   map[string]*order
	receipts map[string]bool
}

type order struct {
	ID         string  `json:"id"`
	Entity     string  `json:"entity"`
	Amount     int64   `json:"amount"`
	AmountPaid int64   `json:"amount_paid"`
	AmountDue  int64   `json:"amount_due"`
	Currency   string  `json:"currency"`
	Receipt    *string `json:"receipt"`
	OfferID    *string `json:"offer_id"`
	Status     string  `json:"status"`
	Attempts   int     `json:"attempts"`
	Notes      any     `json:"notes"`
	CreatedAt  int64   `json:"created_at"`
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{orders: map[string]*order{}, receipts: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/orders", s.create)
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// newID is an id as theirs look: a prefix and fourteen letters.
func newID(prefix string) string { return prefix + "_" + rand.Text()[:14] }

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	key, secret, ok := r.BasicAuth()
	if !ok || key != KeyID || secret != KeySecret {
		refuse(w, http.StatusUnauthorized, "Authentication failed", "")
		return
	}
	if r.Header.Get("Content-Type") != "application/json" {
		refuse(w, http.StatusBadRequest, "The request body is not JSON", "")
		return
	}
	var in struct {
		Amount         json.Number       `json:"amount"`
		Currency       string            `json:"currency"`
		Receipt        *string           `json:"receipt"`
		Notes          map[string]string `json:"notes"`
		PartialPayment bool              `json:"partial_payment"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	dec.DisallowUnknownFields() // "… is/are not required and should not be sent"
	if err := dec.Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, err.Error(), "")
		return
	}
	amount, err := in.Amount.Int64()
	if err != nil {
		refuse(w, http.StatusBadRequest, "The amount must be an integer.", "amount")
		return
	}
	if field, why := s.wrong(amount, in.Currency, in.Receipt, in.Notes); field != "" {
		refuse(w, http.StatusBadRequest, why, field)
		return
	}
	o := &order{
		ID: newID("order"), Entity: "order", Amount: amount, AmountDue: amount, Currency: in.Currency, Receipt: in.Receipt,
		Status: "created", Notes: in.Notes, CreatedAt: time.Now().Unix(),
	}
	if len(in.Notes) == 0 {
		o.Notes = []string{} // theirs is a list where there are none
	}
	s.mu.Lock()
	s.orders[o.ID] = o
	if in.Receipt != nil {
		s.receipts[*in.Receipt] = true
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, o)
}

// wrong names the field that is refused, and why.
func (s *Server) wrong(amount int64, currency string, receipt *string, notes map[string]string) (field, why string) {
	switch {
	case amount < 100:
		return "amount", fmt.Sprintf("The amount must be at least %s 1.00", currency)
	case len(currency) != 3 || currency != string(bytes.ToUpper([]byte(currency))):
		return "currency", "Currency is not supported"
	case len(notes) > 15:
		return "notes", "notes may have 15 pairs"
	}
	for _, note := range notes {
		if len(note) > 256 {
			return "notes", "a note may have 256 characters"
		}
	}
	if receipt == nil {
		return "", ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(*receipt) > 40:
		return "receipt", "The receipt may not be greater than 40 characters."
	case s.receipts[*receipt]:
		return "receipt", "The receipt should be unique."
	}
	return "", ""
}

func refuse(w http.ResponseWriter, status int, why, field string) {
	e := map[string]any{
		"code": "BAD_REQUEST_ERROR", "description": why, "source": "business", "step": "payment_initiation",
		"reason": "input_validation_failed", "metadata": map[string]any{},
	}
	if field != "" {
		e["field"] = field
	}
	answer(w, status, map[string]any{"error": e})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the test sees what it misses
}

// Notice is one webhook as it is on the wire.
type Notice struct {
	Event, ID, Signature string
	Body                 []byte
	Payment              string
}

// Header is the notice's.
func (n Notice) Header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("X-Razorpay-Signature", n.Signature)
	h.Set("X-Razorpay-Event-Id", n.ID)
	return h
}

// Payment says how an order is paid; the zero value pays it in full.
type Payment struct {
	ID       string // "": a new one
	Amount   int64  // 0: the order's
	Currency string // "": the order's
	Secret   string // "": WebhookSecret
	Failed   bool
}

// Pay pays an order and returns the notices that follow, in the order in which they
// happened: authorized, captured, and paid; or failed.
func (s *Server) Pay(orderID string, p Payment) ([]Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[orderID]
	if o == nil {
		return nil, errors.New("razorpaytest: no such order")
	}
	o.Attempts++
	pick := func(given, otherwise string) string {
		if given != "" {
			return given
		}
		return otherwise
	}
	p.ID, p.Currency, p.Secret = pick(p.ID, newID("pay")), pick(p.Currency, o.Currency), pick(p.Secret, WebhookSecret)
	if p.Amount == 0 {
		p.Amount = o.Amount
	}
	if p.Failed {
		o.Status = "attempted"
		return []Notice{s.notice("payment.failed", "failed", o, p)}, nil
	}
	out := []Notice{s.notice("payment.authorized", "authorized", o, p)}
	o.Status, o.AmountPaid, o.AmountDue = "paid", o.Amount, 0
	return append(out, s.notice("payment.captured", "captured", o, p), s.notice("order.paid", "captured", o, p)), nil
}

func (s *Server) notice(event, status string, o *order, p Payment) Notice {
	payment := map[string]any{
		"id": p.ID, "entity": "payment", "amount": p.Amount, "currency": p.Currency, "base_amount": p.Amount, "status": status,
		"order_id": o.ID, "invoice_id": nil, "international": false, "method": "upi", "amount_refunded": 0, "amount_transferred": 0,
		"refund_status": nil, "captured": status == "captured", "description": nil, "card_id": nil, "bank": nil, "wallet": nil,
		"vpa": "asha@okbank", "email": "asha@acme.example", "contact": "+919876543210", "notes": []string{}, "fee": 2, "tax": 0,
		"error_code": nil, "error_description": nil, "error_source": nil, "error_step": nil, "error_reason": nil,
		"acquirer_data": map[string]any{"rrn": "123456789012"}, "created_at": time.Now().Unix(),
	}
	contains, payload := []string{"payment"}, map[string]any{"payment": map[string]any{"entity": payment}}
	if event == "order.paid" {
		contains, payload["order"] = []string{"payment", "order"}, map[string]any{"entity": o}
	}
	body, err := json.Marshal(map[string]any{
		"entity": "event", "account_id": "acc_BFQ7uQEaa7j2z7", "event": event, "contains": contains, "payload": payload,
		"created_at": time.Now().Unix(),
	})
	if err != nil {
		panic(err) // maps of plain values
	}
	return Notice{Event: event, ID: newID("evt"), Signature: Sign(p.Secret, body), Body: body, Payment: p.ID}
}

// Sign is the signature of a body.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Send posts the notice and returns the status it got. The original takes any 2xx within
// five seconds for an answer and repeats everything else for a day.
func (n Notice) Send(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(n.Body))
	if err != nil {
		return 0, err
	}
	req.Header = n.Header()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
