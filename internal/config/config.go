// Package config is the only reader of the environment. Load reports every mistake
// at once and before anything opens; a variable that is absent takes its default.
package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Mode is what one process of the image does: SERVICE_TYPE.
type Mode string

// The modes.
const (
	APIGateway Mode = "API_GATEWAY" // vendor portal REST
	Webhook    Mode = "WEBHOOK"     // Meta's callbacks
	Worker     Mode = "WORKER"      // Temporal workflows and activities
	Outbox     Mode = "OUTBOX"      // relay: outbox rows into Temporal
)

// Secret is a value that must not be printed.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "[secret]" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// Config is a process's whole configuration. Secrets are plain strings while parsing
// (a parse error would print them) and are checked here by hand.
type Config struct {
	Mode Mode   `env:"SERVICE_TYPE"`                    // empty for the operator's verbs
	Env  string `env:"APP_ENV" envDefault:"production"` // "development" accepts the built-in development secrets

	HTTPAddr     string `env:"HTTP_ADDR" envDefault:":3000"`     // gateway and webhook
	InternalAddr string `env:"INTERNAL_ADDR" envDefault:":9090"` // health and metrics, every mode
	APIPrefix    string `env:"API_PREFIX" envDefault:"v1"`
	PublicURL    string `env:"PUBLIC_URL" envDefault:"http://localhost:3000"` // what mails and links to documents begin with

	DatabaseURL      Secret `env:"DATABASE_URL"` // with the role of the mode
	DatabaseMaxConns int32  `env:"DATABASE_MAX_CONNS" envDefault:"16"`
	RedisURL         Secret `env:"REDIS_URL"`

	TemporalAddress   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233"`
	TemporalNamespace string `env:"TEMPORAL_NAMESPACE" envDefault:"kloyst"`
	TemporalCodecKeys Secret `env:"TEMPORAL_CODEC_KEYS"` // kid:base64(32 bytes), comma separated; the first one encodes

	MasterKey     Secret `env:"MASTER_KEY"`      // base64, 32 bytes: wraps every vendor's data keys
	JWTSigningKey Secret `env:"JWT_SIGNING_KEY"` // base64, 32 bytes: Ed25519 seed

	BlobURL        string `env:"BLOB_URL" envDefault:"file:///var/lib/kloyst/blobs"`
	ClamdAddr      string `env:"CLAMD_ADDR" envDefault:"127.0.0.1:3310"`
	UploadMaxBytes int64  `env:"UPLOAD_MAX_BYTES" envDefault:"104857600"` // 100 MiB; clamd's StreamMaxLength must be above it
	SMTPAddr       string `env:"SMTP_ADDR" envDefault:"127.0.0.1:25"`
	SMTPTLS        string `env:"SMTP_TLS" envDefault:"mandatory"` // mandatory, opportunistic, none
	MailFrom       string `env:"MAIL_FROM" envDefault:"Kloyst <no-reply@kloyst.example>"`
	FontDir        string `env:"FONT_DIR" envDefault:"/usr/share/fonts/truetype/noto"`

	MetaGraphURL     string        `env:"META_GRAPH_URL" envDefault:"https://graph.facebook.com"`
	MetaGraphVersion string        `env:"META_GRAPH_VERSION" envDefault:"v23.0"`
	MetaAppSecrets   Secret        `env:"META_APP_SECRETS"`              // comma separated: two are valid while one is rotated out
	MetaVerifyToken  Secret        `env:"META_VERIFY_TOKEN"`             // of the webhook handshake
	MetaTimeout      time.Duration `env:"META_TIMEOUT" envDefault:"10s"` // of one POST

	// Payments by Razorpay, for API_GATEWAY; without a key id the endpoints answer 503.
	RazorpayURL            string `env:"RAZORPAY_URL" envDefault:"https://api.razorpay.com"`
	RazorpayKeyID          string `env:"RAZORPAY_KEY_ID"`
	RazorpayKeySecret      Secret `env:"RAZORPAY_KEY_SECRET"`
	RazorpayWebhookSecrets Secret `env:"RAZORPAY_WEBHOOK_SECRETS"` // comma separated: two are valid while one is rotated out

	// UnknownGrace is how long an unknown outcome waits for its status webhook. It must be
	// longer than MetaTimeout and an eighth plus 10s, the longest a marked message may take to leave.
	UnknownGrace time.Duration `env:"UNKNOWN_GRACE" envDefault:"5m"`

	// Concurrency of one worker process, per task queue: activities at once.
	WorkerCore   int `env:"WORKER_CORE_CONCURRENCY" envDefault:"32"`
	WorkerSend   int `env:"WORKER_SEND_CONCURRENCY" envDefault:"64"`
	WorkerImport int `env:"WORKER_IMPORT_CONCURRENCY" envDefault:"4"`
	WorkerPDF    int `env:"WORKER_PDF_CONCURRENCY" envDefault:"2"`

	CORSAllowedOrigins []string      `env:"CORS_ALLOWED_ORIGINS" envSeparator:","`
	LogLevel           slog.Level    `env:"LOG_LEVEL" envDefault:"INFO"`
	ShutdownGrace      time.Duration `env:"SHUTDOWN_GRACE" envDefault:"25s"` // under an orchestrator's usual 30s
}

// Load reads environ ("KEY=value") and reports every mistake at once. A KEY_FILE
// variable names a file that holds KEY's value, for mounted secrets.
func Load(environ []string, readFile func(string) ([]byte, error)) (Config, error) {
	vars := env.ToMap(environ)
	var c Config
	var mistakes []error
	known, err := env.GetFieldParams(&c) // only our own names: other programs have _FILE variables too
	if err != nil {
		return c, err
	}
	for _, field := range known {
		key := field.OwnKey + "_FILE"
		if path := vars[key]; path != "" && vars[field.OwnKey] == "" {
			text, err := readFile(path)
			if err != nil {
				mistakes = append(mistakes, fmt.Errorf("%s: cannot read the file it names", key))
				continue
			}
			vars[field.OwnKey] = strings.TrimSpace(string(text))
		}
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		mistakes = append(mistakes, err)
	}
	mistakes = append(mistakes, c.check()...)
	return c, errors.Join(mistakes...)
}

// Development tells whether built-in development secrets are accepted.
func (c *Config) Development() bool { return c.Env == "development" }

func (c *Config) check() []error {
	var bad []error
	add := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if c.Mode != "" && !slices.Contains([]Mode{APIGateway, Webhook, Worker, Outbox}, c.Mode) {
		add("SERVICE_TYPE: want API_GATEWAY, WEBHOOK, WORKER or OUTBOX")
	}
	if c.Env != "production" && c.Env != "development" {
		add("APP_ENV: want production or development")
	}
	if c.DatabaseURL == "" {
		add("DATABASE_URL: required")
	}
	need := func(name string, value Secret) bool {
		if value == "" {
			add("%s: required in %s", name, c.Mode)
		}
		return value != ""
	}
	if c.Mode == APIGateway || c.Mode == Worker {
		need("REDIS_URL", c.RedisURL)
		c.checkKey(add, "MASTER_KEY", c.MasterKey)
	}
	if c.Mode == APIGateway {
		if c.RazorpayKeyID != "" {
			need("RAZORPAY_KEY_SECRET", c.RazorpayKeySecret)
			need("RAZORPAY_WEBHOOK_SECRETS", c.RazorpayWebhookSecrets)
		}
		c.checkKey(add, "JWT_SIGNING_KEY", c.JWTSigningKey)
	}
	if c.Mode == Webhook {
		need("META_VERIFY_TOKEN", c.MetaVerifyToken)
		c.checkKey(add, "MASTER_KEY", c.MasterKey)
		if need("META_APP_SECRETS", c.MetaAppSecrets) {
			c.checkAppSecrets(add)
		}
	}
	if c.Mode == Worker || c.Mode == Outbox || c.Mode == APIGateway {
		if need("TEMPORAL_CODEC_KEYS", c.TemporalCodecKeys) {
			if _, err := c.CodecKeys(); err != nil {
				add("TEMPORAL_CODEC_KEYS: %w", err)
			}
		}
	}
	if c.Mode == Worker && c.UnknownGrace <= c.MetaTimeout*9/8+10*time.Second {
		add("UNKNOWN_GRACE: must be longer than META_TIMEOUT and an eighth, plus 10s")
	}
	return bad
}

// checkAppSecrets accepts short ones in development only.
func (c *Config) checkAppSecrets(add func(string, ...any)) {
	for _, s := range c.AppSecrets() {
		if len(s) < 16 && !c.Development() {
			add("META_APP_SECRETS: an app secret is at least 16 characters")
		}
	}
}

// checkKey wants 32 random bytes in base64; repeated bytes are a default somebody left.
func (c *Config) checkKey(add func(string, ...any), name string, value Secret) {
	raw, err := base64.StdEncoding.DecodeString(string(value))
	switch {
	case err != nil || len(raw) != 32:
		add("%s: want 32 bytes in base64 (openssl rand -base64 32)", name)
	case !c.Development() && len(slices.Compact(slices.Sorted(slices.Values(raw)))) < 8:
		add("%s: is a placeholder; make one with: openssl rand -base64 32", name)
	}
}

// AppSecrets are the Meta app secrets in force, newest first.
func (c *Config) AppSecrets() []string { return strings.Split(string(c.MetaAppSecrets), ",") }

// Master returns the master key's bytes; Load has checked them.
func (c *Config) Master() []byte {
	raw, _ := base64.StdEncoding.DecodeString(string(c.MasterKey)) // checked by Load
	return raw
}

// SigningKey returns the key that signs access tokens; Load has checked it.
func (c *Config) SigningKey() ed25519.PrivateKey {
	seed, err := base64.StdEncoding.DecodeString(string(c.JWTSigningKey))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil
	}
	return ed25519.NewKeyFromSeed(seed)
}

// CodecKey is one key of the Temporal payload codec.
type CodecKey struct {
	ID  string
	Key []byte // 32 bytes
}

// CodecKeys parses TEMPORAL_CODEC_KEYS; the first one encodes, all decode.
func (c *Config) CodecKeys() ([]CodecKey, error) {
	var keys []CodecKey
	for part := range strings.SplitSeq(string(c.TemporalCodecKeys), ",") {
		kid, text, ok := strings.Cut(part, ":")
		raw, err := base64.StdEncoding.DecodeString(text)
		if !ok || kid == "" || err != nil || len(raw) != 32 {
			return nil, errors.New("want kid:base64(32 bytes), comma separated")
		}
		keys = append(keys, CodecKey{ID: kid, Key: raw})
	}
	return keys, nil
}
