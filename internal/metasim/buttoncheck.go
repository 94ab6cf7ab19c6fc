package metasim

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// buttons checks counts, grouping and each button. Source: Meta, template
// components, read 2026-09.
func (k contentCheck) buttons(list []templateButton) *graphError {
	if len(list) < 1 || len(list) > maxButtons {
		return badButtons("A template has 1 to %d buttons.", maxButtons)
	}
	limits := map[string]int{"QUICK_REPLY": 10, "URL": 2, "PHONE_NUMBER": 1, "COPY_CODE": 1, "FLOW": 1, "OTP": 1, "VOICE_CALL": 1}
	count := map[string]int{}
	blocks, inBlock := 0, false
	for i := range list {
		kind := strings.ToUpper(list[i].Type)
		count[kind]++
		if most, ok := limits[kind]; ok && count[kind] > most {
			return badButtons("A template has at most %d buttons of type %s.", most, kind)
		}
		if kind == "QUICK_REPLY" && !inBlock {
			blocks++
		}
		inBlock = kind == "QUICK_REPLY"
		if blocks > 1 {
			return badButtons("Quick replies must stand together.")
		}
		if k.category == categoryAuthentication && kind != "OTP" {
			return badButtons("Authentication templates have one OTP button and no other.")
		}
		if e := list[i].check(kind); e != nil {
			return e
		}
	}
	return nil
}

func badButtons(format string, args ...any) *graphError {
	return invalidTemplate(0, "Buttons are incorrect", format, args...)
}

func (b *templateButton) check(kind string) *graphError {
	label := utf8.RuneCountInString(b.Text)
	switch kind {
	case "COPY_CODE":
		if n := utf8.RuneCountInString(b.sample()); n < 1 || n > 20 {
			return badButtons("A COPY_CODE button needs an example of at most 20 characters.")
		}
		return nil // the label is Meta's
	case "OTP":
		return b.checkOTP()
	case "REQUEST_CONTACT_INFO", "CATALOG", "MPM", "SPM":
		return nil
	case "QUICK_REPLY", "URL", "PHONE_NUMBER", "FLOW", "VOICE_CALL":
		if label < 1 || label > maxButtonText || len(variables(b.Text)) > 0 {
			return badButtons("A button's label has 1 to %d characters and no variable.", maxButtonText)
		}
	default:
		return badButtons("%q is not a type of button.", kind)
	}
	switch kind {
	case "URL":
		return b.checkURL()
	case "PHONE_NUMBER":
		if n := len(b.Phone); n < 1 || n > 20 {
			return badButtons("A PHONE_NUMBER button needs a number of at most 20 characters.")
		}
	case "FLOW":
		given := 0
		for _, v := range []string{string(b.FlowID), b.FlowName, b.FlowJSON} {
			if v != "" {
				given++
			}
		}
		if given != 1 {
			return badButtons("A FLOW button names exactly one of flow_id, flow_name and flow_json.")
		}
	case "VOICE_CALL":
		if label > 20 || b.TTL != 0 && (b.TTL < 1440 || b.TTL > 43_200) {
			return badButtons("A VOICE_CALL button has a label of at most 20 characters and ttl_minutes between 1440 and 43200.")
		}
	}
	return nil
}

func (b *templateButton) checkURL() *graphError {
	vars := variables(b.URL)
	switch {
	case b.URL == "" || len(b.URL) > 2000:
		return badButtons("A URL button needs a url of at most 2000 characters.")
	case !strings.HasPrefix(b.URL, "http://") && !strings.HasPrefix(b.URL, "https://"):
		return badButtons("%q is not a URL.", b.URL)
	case len(vars) > 1 || len(vars) == 1 && !strings.HasSuffix(b.URL, "}}"):
		return badButtons("A URL takes one variable, at its very end.")
	case len(vars) == 1 && b.sample() == "":
		return missingSample("BUTTONS", "example")
	}
	return nil
}

func (b *templateButton) checkOTP() *graphError {
	if !slices.Contains([]string{"COPY_CODE", "ONE_TAP", "ZERO_TAP"}, strings.ToUpper(b.OTPType)) {
		return badButtons("otp_type must be COPY_CODE, ONE_TAP or ZERO_TAP.")
	}
	if strings.EqualFold(b.OTPType, "COPY_CODE") {
		return nil
	}
	if len(b.Apps) < 1 || len(b.Apps) > 5 {
		return badButtons("%s needs 1 to 5 supported_apps.", b.OTPType)
	}
	for _, a := range b.Apps {
		if a.PackageName == "" || len(a.SignatureHash) != 11 {
			return badButtons("A supported app has a package_name and a signature_hash of 11 characters.")
		}
	}
	if strings.EqualFold(b.OTPType, "ZERO_TAP") && !b.ZeroTapOK {
		return badButtons("ZERO_TAP needs zero_tap_terms_accepted.")
	}
	return nil
}

// sample is the first example, written as a list or as one string.
func (b *templateButton) sample() string {
	var list []string
	if json.Unmarshal(b.Example, &list) == nil && len(list) > 0 {
		return list[0]
	}
	var one string
	_ = json.Unmarshal(b.Example, &one) // stays empty: the caller reports it
	return one
}
