package devstack

import (
	"fmt"
	"path/filepath"
	"strings"
)

// makeSecrets makes every secret that the services share, so that Env needs none made.
func (st *State) makeSecrets(throwaway bool) {
	super := st.secret("pg_postgres", randomHex)
	for _, role := range Roles() {
		st.secret("pg_"+role, func() string {
			if throwaway {
				return super // tests reach every role through one URL
			}
			return randomHex()
		})
	}
	st.secret("pg_"+temporalRole, randomHex)
	for _, name := range []string{"meta_app_secret", "meta_app_secret_old", "meta_verify_token"} {
		st.secret(name, randomHex)
	}
	for _, name := range []string{"master_key", "jwt_signing_key", "temporal_codec_key"} {
		st.secret(name, randomKey)
	}
}

func (st *State) blobDir() string { return filepath.Join(st.Dir, "data", "blobs") }

// Operator is the name by which Env gives the environment of the operator's commands.
const Operator = "operator"

// Runbook is the name by which Env gives what docs/runbook.md's commands use: the operator's
// environment, where Temporal is in the words of both its command lines, and the addresses.
const Runbook = "runbook"

// Env returns the environment that a mode of ours runs with, or that the operator's commands
// need. Each gets what its mode uses and no more, its own database role first of all; unknown
// names get nothing.
func (st *State) Env(service string) []string {
	type set []string
	common := func(mode, role string) set {
		e := set{"APP_ENV=development", "LOG_LEVEL=INFO", "DATABASE_URL=" + st.DatabaseURL(role, Database)}
		if mode != "" {
			e = append(e, "SERVICE_TYPE="+mode, "INTERNAL_ADDR="+loopback(st.Ports[internalPort(service)]))
		}
		return e
	}
	temporal := set{
		"TEMPORAL_ADDRESS=" + loopback(st.Ports[Temporal]), "TEMPORAL_NAMESPACE=kloyst",
		"TEMPORAL_CODEC_KEYS=dev1:" + st.Secrets["temporal_codec_key"],
	}
	master := set{"MASTER_KEY=" + st.Secrets["master_key"]}
	work := append(append(set{ // gateway and worker
		fmt.Sprintf("REDIS_URL=redis://%s/0", loopback(st.Ports[Redis])),
		"BLOB_URL=file://" + st.blobDir(),
		"CLAMD_ADDR=" + loopback(st.Ports[Clamd]),
		"SMTP_ADDR=" + loopback(st.Ports[Mailpit]), "SMTP_TLS=none",
		"MAIL_FROM=Kloyst <no-reply@kloyst.example>",
		"PUBLIC_URL=" + st.base(Nginx),
		"META_GRAPH_URL=" + st.base(Metasim),
		// Long enough after META_TIMEOUT, short enough for a person who watches.
		"UNKNOWN_GRACE=30s",
	}, temporal...), master...)
	jwt := "JWT_SIGNING_KEY=" + st.Secrets["jwt_signing_key"]
	switch modeOf(service) {
	case Migrate:
		return common("", "kloyst_owner")
	case Gateway:
		return append(append(common("API_GATEWAY", "kloyst_app"), work...), jwt,
			"HTTP_ADDR="+loopback(st.Ports[Gateway]))
	case Worker:
		return append(common("WORKER", "kloyst_app"), work...)
	case Webhook:
		return append(append(common("WEBHOOK", "kloyst_webhook"), master...),
			"HTTP_ADDR="+loopback(st.Ports[Webhook]),
			"META_APP_SECRETS="+st.Secrets["meta_app_secret"]+","+st.Secrets["meta_app_secret_old"],
			"META_VERIFY_TOKEN="+st.Secrets["meta_verify_token"])
	case Outbox:
		return append(common("OUTBOX", "kloyst_relay"), temporal...)
	case Codec:
		return set{
			"CODEC_ADDR=" + loopback(st.Ports[Codec]), "TEMPORAL_UI_ORIGIN=" + st.TemporalUIURL(),
			"TEMPORAL_CODEC_KEYS=dev1:" + st.Secrets["temporal_codec_key"],
		}
	case Operator:
		return append(append(common("", "kloyst_operator"), work...), jwt)
	case Runbook:
		e := append(st.Env(Operator),
			"TEMPORAL_CLI_ADDRESS="+st.TemporalAddress(), "TEMPORAL_CLI_NAMESPACE=kloyst", "TEMPORAL_UI="+st.TemporalUIURL(),
			"API="+st.FrontURL()+"/v1")
		for _, mode := range []string{Gateway, Webhook, Worker, Outbox} {
			e = append(e, strings.ToUpper(mode)+"_INTERNAL="+st.InternalURL(mode))
		}
		return e
	default:
		return nil
	}
}

// TestEnv returns the variables by which the tests find the servers of this stack, those that run.
func (st *State) TestEnv() []string {
	var env []string
	add := func(service, key, value string) {
		if _, ok := st.Services[service]; ok {
			env = append(env, "KLOYST_TEST_"+key+"="+value)
		}
	}
	add(Postgres, "DATABASE_URL", st.DatabaseURL("postgres", "postgres"))
	add(Redis, "REDIS_URL", fmt.Sprintf("redis://%s/0", loopback(st.Ports[Redis])))
	add(Temporal, "TEMPORAL_ADDRESS", loopback(st.Ports[Temporal]))
	add(Temporal, "TEMPORAL_NAMESPACE", "kloyst")
	add(Clamd, "CLAMD_ADDR", loopback(st.Ports[Clamd]))
	add(Mailpit, "SMTP_ADDR", loopback(st.Ports[Mailpit]))
	add(Mailpit, "MAIL_URL", st.base(mailHTTP))
	return env
}
