package devstack

// base is the HTTP address behind a port, without a path.
func (st *State) base(port string) string { return "http://" + loopback(st.Ports[port]) }

// FrontURL is the front door: /v1 and /webhook are below it.
func (st *State) FrontURL() string { return st.base(Nginx) }

// MetasimURL is the Meta simulator's Graph API.
func (st *State) MetasimURL() string { return st.base(Metasim) }

// MailURL is the mail catcher's HTTP API.
func (st *State) MailURL() string { return st.base(mailHTTP) }

// TemporalUIURL is Temporal's Web UI.
func (st *State) TemporalUIURL() string { return st.base(temporalUI) }

// CodecURL is where Temporal Web UI has payloads opened.
func (st *State) CodecURL() string { return st.base(Codec) }

// TemporalAddress is host:port of Temporal's frontend.
func (st *State) TemporalAddress() string { return loopback(st.Ports[Temporal]) }

// InternalURL is where a mode of ours serves /healthz, /readyz and /metrics.
func (st *State) InternalURL(mode string) string { return st.base(internalPort(mode)) }

// MetaAppSecret is what the simulator signs its webhooks with.
func (st *State) MetaAppSecret() string { return st.Secrets["meta_app_secret"] }

// MetaVerifyToken is the token of the webhook handshake.
func (st *State) MetaVerifyToken() string { return st.Secrets["meta_verify_token"] }

// URL is an address for people.
type URL struct{ Name, URL string }

// URLs lists the addresses of what runs, for people.
func (st *State) URLs() []URL {
	var urls []URL
	add := func(service, name, url string) {
		if _, ok := st.Services[service]; ok {
			urls = append(urls, URL{Name: name, URL: url})
		}
	}
	add(Nginx, "API", st.FrontURL()+"/v1")
	add(Nginx, "API docs", st.FrontURL()+"/v1/docs")
	add(Nginx, "Meta webhook", st.FrontURL()+"/webhook/meta")
	ui := Temporal // the development server brings its own
	if st.Temporal == TemporalServer {
		ui = UI
	}
	add(ui, "Temporal Web UI", st.TemporalUIURL()+"/namespaces/kloyst/workflows")
	add(Mailpit, "caught mail (JSON)", st.MailURL()+"/api/v1/messages")
	add(Metasim, "Meta simulator", st.MetasimURL()+"/_sim/stats")
	return urls
}
