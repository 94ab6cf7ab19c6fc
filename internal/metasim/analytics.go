package metasim

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// billKey tells one line of an account's pricing analytics from another.
type billKey struct {
	day                            int64 // unix seconds of its midnight, UTC
	country, phone, category, kind string
}

// bill counts a message at the status that carries its pricing.
func (n *number) bill(j *job) {
	if j.again || j.kind != j.f.pricedOn || j.kind == statusSent || j.kind == statusFailed {
		return
	}
	const day = 24 * 3600
	key := billKey{
		day: j.at / second / day * day, country: countryOf(&j.f.to), phone: n.digits,
		category: strings.ToUpper(strings.ReplaceAll(j.f.category, "-", "_")), kind: strings.ToUpper(j.f.priceAs),
	}
	w := n.waba
	w.billMu.Lock()
	defer w.billMu.Unlock()
	if w.bills == nil {
		w.bills = map[billKey]int64{}
	}
	w.bills[key]++
}

// countryOf is the ISO code of a recipient's country, "ZZ" for one this package does not know.
func countryOf(to *recipient) string {
	if iso, _, ok := strings.Cut(to.bsuid, "."); ok && len(iso) == 2 {
		return iso
	}
	switch callingCode(to.waID) {
	case "1":
		return "US"
	case "91":
		return "IN"
	case "55":
		return "BR"
	case "52":
		return "MX"
	case "62":
		return "ID"
	case "44":
		return "GB"
	case "49":
		return "DE"
	case "971":
		return "AE"
	case "966":
		return "SA"
	}
	return "ZZ"
}

// analyticsAsk is a pricing_analytics field with its parameters.
type analyticsAsk struct {
	start, end int64
	params     map[string][]string
}

// chained reads "name.key(value).key([\"a\",\"b\"])".
var chained = regexp.MustCompile(`\.([a-z_]+)\(([^()]*)\)`)

// analyticsField finds the pricing_analytics field of a fields parameter; rest is the others.
func analyticsField(fields string) (field string, rest []string) {
	for _, f := range splitFields(fields) {
		if strings.HasPrefix(f, "pricing_analytics") {
			field = f
		} else {
			rest = append(rest, f)
		}
	}
	return field, rest
}

// parseAnalytics is strict as Meta is: start, end and granularity are required, names must be known.
func parseAnalytics(field string) (analyticsAsk, *graphError) {
	ask := analyticsAsk{params: map[string][]string{}}
	bad := func(format string, args ...any) (analyticsAsk, *graphError) {
		return ask, &graphError{code: 100, details: "-", message: "(#100) " + fmt.Sprintf(format, args...)}
	}
	rest := strings.TrimPrefix(field, "pricing_analytics")
	for _, m := range chained.FindAllStringSubmatch(rest, -1) {
		var values []string
		for v := range strings.SplitSeq(strings.Trim(m[2], "[]"), ",") {
			if v = strings.Trim(v, `" `); v != "" {
				values = append(values, v)
			}
		}
		ask.params[m[1]] = values
	}
	if chained.ReplaceAllString(rest, "") != "" {
		return bad("Syntax error in field pricing_analytics")
	}
	known := map[string][]string{
		"start": nil, "end": nil, "phone_numbers": nil, "country_codes": nil,
		"granularity":  {"HALF_HOUR", "DAILY", "MONTHLY"},
		"metric_types": {"COST", "VOLUME"},
		"dimensions":   {"COUNTRY", "PHONE", "PRICING_CATEGORY", "PRICING_TYPE", "TIER"},
		"pricing_types": {
			"REGULAR", "FREE_CUSTOMER_SERVICE", "FREE_ENTRY_POINT",
		},
		"pricing_categories": {
			"MARKETING", "MARKETING_LITE", "UTILITY", "AUTHENTICATION", "AUTHENTICATION_INTERNATIONAL", "SERVICE", "REFERRAL_CONVERSION", "AI_BOT",
		},
	}
	for name, values := range ask.params {
		allowed, ok := known[name]
		if !ok {
			return bad("Unknown parameter %s of pricing_analytics", name)
		}
		for _, v := range values {
			if allowed != nil && !slices.Contains(allowed, v) {
				return bad("Param %s must be one of {%s}", name, strings.Join(allowed, ", "))
			}
		}
	}
	for _, t := range []struct {
		name string
		into *int64
	}{{"start", &ask.start}, {"end", &ask.end}} {
		values := ask.params[t.name]
		n, err := strconv.ParseInt(strings.Join(values, ","), 10, 64)
		if err != nil {
			return bad("The parameter %s is required", t.name)
		}
		*t.into = n
	}
	if len(ask.params["granularity"]) != 1 {
		return bad("The parameter granularity is required")
	}
	if ask.start >= ask.end {
		return bad("start must be before end")
	}
	// This simulator keeps days alone; the product asks for no other.
	if ask.params["granularity"][0] != "DAILY" {
		return bad("only DAILY is simulated")
	}
	return ask, nil
}

// flatPrices are what the simulator says a message costs, in millionths of the account's
// currency: it has no rate cards, and shares none with the product.
func flatPrices(category string) int64 {
	switch category {
	case "MARKETING", "MARKETING_LITE":
		return 25_000
	}
	return 4_000
}

// pricingAnalytics answers GET /{waba}?fields=pricing_analytics….
func (c *call) pricingAnalytics(w *waba, field string) {
	ask, err := parseAnalytics(field)
	if err != nil {
		c.fail(err)
		return
	}
	w.billMu.Lock()
	bills := maps.Clone(w.bills)
	w.billMu.Unlock()
	picked := map[billKey]int64{}
	has := func(dimension string) bool { return slices.Contains(ask.params["dimensions"], dimension) }
	passes := func(filter, value string) bool {
		return len(ask.params[filter]) == 0 || slices.Contains(ask.params[filter], value)
	}
	cost := map[billKey]int64{}
	for k, n := range bills {
		if k.day < ask.start || k.day >= ask.end || !passes("phone_numbers", k.phone) || !passes("country_codes", k.country) ||
			!passes("pricing_types", k.kind) || !passes("pricing_categories", k.category) {
			continue
		}
		price := int64(0)
		if k.kind == strings.ToUpper(typeRegular) {
			price = flatPrices(k.category)
		}
		for _, d := range []struct {
			name string
			at   *string
		}{{"COUNTRY", &k.country}, {"PHONE", &k.phone}, {"PRICING_CATEGORY", &k.category}, {"PRICING_TYPE", &k.kind}} {
			if !has(d.name) {
				*d.at = ""
			}
		}
		picked[k] += n
		cost[k] += n * price
	}
	points := []map[string]any{}
	for _, k := range slices.SortedFunc(maps.Keys(picked), func(a, b billKey) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	}) {
		points = append(points, point(ask, k, picked[k], cost[k]))
	}
	c.answer(200, map[string]any{
		"pricing_analytics": map[string]any{"data": []any{map[string]any{"data_points": points}}}, "id": w.id,
	})
}

func point(ask analyticsAsk, k billKey, volume, cost int64) map[string]any {
	p := map[string]any{"start": k.day, "end": k.day + 24*3600}
	for name, value := range map[string]string{"country": k.country, "phone_number": k.phone, "pricing_category": k.category, "pricing_type": k.kind} {
		if value != "" {
			p[name] = value
		}
	}
	metrics := ask.params["metric_types"]
	if len(metrics) == 0 || slices.Contains(metrics, "VOLUME") {
		p["volume"] = volume
	}
	if len(metrics) == 0 || slices.Contains(metrics, "COST") {
		p["cost"] = float64(cost) / 1e6 // Meta prints floats here too
	}
	return p
}
