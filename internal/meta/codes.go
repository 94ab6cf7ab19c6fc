package meta

import (
	"maps"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
)

// The lowest and highest code of Graph's block of permission errors.
const firstPermission, lastPermission = 200, 299

// graphNoObject is the subcode of code 100 that means "does not exist, or not for you".
const graphNoObject = 33

// Lookup returns what is known about a code and subcode, and whether anything is.
func Lookup(code, subcode int) (Code, bool) {
	if code == 100 && subcode == graphNoObject {
		return Code{Class: Token, Name: "OBJECT_NOT_VISIBLE", Remedy: "Meta does not show this object to the access token. Check the id and the token's permissions, and connect the account again."}, true
	}
	if c, ok := codes()[code]; ok {
		return c, true
	}
	if code >= firstPermission && code <= lastPermission {
		return Code{Class: Token, Name: "PERMISSION_DENIED", Remedy: permissionRemedy}, true
	}
	return Code{}, false
}

// Remedy tells what to do about a code; "" where nothing is known. 0 stands for no code
// here, though Meta has one of that number.
func Remedy(code int) string {
	if code == 0 {
		return ""
	}
	known, _ := Lookup(code, 0)
	return known.Remedy
}

// Known lists the codes of the table, for tests and documents.
func Known() map[int]Code {
	return maps.Clone(codes())
}

const (
	permissionRemedy = "The access token lacks a permission. Give the app whatsapp_business_messaging and whatsapp_business_management, and connect the account again."
	tokenRemedy      = "The access token is wrong or has expired. Connect the account again with a permanent system-user token."
	limitRemedy      = "Too many calls to Meta; they go on by themselves, more slowly."
	serverRemedy     = "Meta had a problem of its own; it is tried again by itself."
	templateRemedy   = "The template and what is sent for it do not fit. Sync the templates, check the parameter mapping, and start again."
	mediaRemedy      = "A file of the message cannot be used. Check its address, type and size."
	numberRemedy     = "The sender number is not ready. Register it again in WhatsApp Manager, then resume."
	valueRemedy      = "Meta does not take the message as it is for this person. Look at what this contact's data make of the template's variables."
	flowRemedy       = "The flow in the template cannot be opened. Check it in WhatsApp Manager."
	laterRemedy      = "Meta asks to wait; it is tried again by itself."
)

// codes is the one table of Meta's error codes.
// Source: Meta, Cloud API error codes, marketing messages API, template management and
// business-scoped user id pages, and its OpenAPI file v23.0; read 2026-09. Where those
// say nothing, what API users report is followed and marked so.
func codes() map[int]Code { return table }

var table = map[int]Code{ //nolint:gochecknoglobals // a constant in all but kind
	// Authorisation.
	0:      {Class: Token, Name: "AUTH_EXCEPTION", Remedy: tokenRemedy},
	3:      {Class: Token, Name: "CAPABILITY_MISSING", Remedy: permissionRemedy},
	10:     {Class: Token, Name: "PERMISSION_DENIED", Remedy: permissionRemedy},
	104:    {Class: Token, Name: "TOKEN_MISSING", Remedy: tokenRemedy},
	190:    {Class: Token, Name: "TOKEN_EXPIRED", Remedy: tokenRemedy},
	192:    {Class: Token, Name: "PHONE_PERMISSION", Remedy: permissionRemedy}, // reported by API users
	131005: {Class: Token, Name: "ACCESS_DENIED", Remedy: permissionRemedy},

	// Too fast.
	4:      {Class: App, Name: "APP_RATE_LIMIT", Remedy: limitRemedy, Wait: time.Minute},
	17:     {Class: App, Name: "USER_RATE_LIMIT", Remedy: limitRemedy, Wait: time.Minute},
	613:    {Class: App, Name: "CALL_RATE_LIMIT", Remedy: limitRemedy, Wait: time.Minute},
	80007:  {Class: App, Name: "WABA_RATE_LIMIT", Remedy: limitRemedy, Wait: time.Minute},
	80008:  {Class: App, Name: "BUSINESS_RATE_LIMIT", Remedy: limitRemedy, Wait: time.Minute}, // reported by API users
	130429: {Class: Number, Name: "RATE_LIMIT_HIT", Remedy: "The sender number reached Meta's throughput; sending goes on by itself, more slowly."},
	131056: {Class: Pair, Name: "PAIR_RATE_LIMIT", Remedy: "Too many messages to this recipient in a short time; it is tried again by itself."},

	// Meta's own problems.
	1:       {Class: Retry, Name: "API_UNKNOWN", Remedy: serverRemedy, Tries: 3},
	2:       {Class: Retry, Name: "API_SERVICE", Remedy: serverRemedy, Wait: time.Minute},
	131000:  {Class: Retry, Name: "SOMETHING_WENT_WRONG", Remedy: serverRemedy},
	131016:  {Class: Retry, Name: "SERVICE_UNAVAILABLE", Remedy: serverRemedy},
	133004:  {Class: Retry, Name: "SERVER_UNAVAILABLE", Remedy: serverRemedy},
	131059:  {Class: Retry, Name: "TEMPLATE_CURSOR", Remedy: "The list of templates changed while it was read; it is read again."}, // reported by API users
	131057:  {Class: Later, Name: "ACCOUNT_MAINTENANCE", Remedy: "Meta is upgrading the sender number; sending goes on in a few minutes.", Wait: 2 * time.Minute},
	2494100: {Class: Later, Name: "ACCOUNT_MAINTENANCE", Remedy: "Meta is upgrading the account; sending goes on in a few minutes.", Wait: 2 * time.Minute},

	// The recipient.
	130403: {Class: Recipient, Name: "RECIPIENT_BLOCKED_BY_US", Remedy: "Your business has blocked this person. Unblock them to write to them."},
	130472: {Class: Later, Name: "EXPERIMENT", Remedy: "Meta keeps marketing from this person for an experiment; nothing was charged. It is tried again after days.", Wait: 48 * time.Hour, Tries: 2},
	130497: {Class: Recipient, Name: "COUNTRY_RESTRICTED", Remedy: "This account may not write to people in this country."},
	131021: {Class: Recipient, Name: "RECIPIENT_IS_SENDER", Remedy: "A number cannot write to itself."},
	131026: {Class: Recipient, Name: "UNDELIVERABLE", Remedy: "This number is not on WhatsApp, has an old version of it, or has not accepted its terms."},
	131030: {Class: Recipient, Name: "RECIPIENT_NOT_ALLOWED", Remedy: "A test number writes only to its list of allowed recipients. Add this one to it."},
	131043: {Class: Recipient, Name: "MESSAGE_EXPIRED", Remedy: "The message could not be delivered before it expired."},
	131047: {Class: Recipient, Name: "REENGAGEMENT", Remedy: "More than 24 hours have passed since this person wrote. Use a template."},
	131049: {Class: Later, Name: "ECOSYSTEM_HEALTH", Remedy: "Meta limits marketing to this person, or does not deliver it in their country. It is tried again after a day, then after two, while the campaign lasts.", Wait: 24 * time.Hour, Tries: 3, FinalIn: "US"},
	131050: {Class: Recipient, Name: "USER_STOPPED_MARKETING", Remedy: "This person has stopped marketing messages from you. They get none until they resume them.", StopsMarketing: true},
	131062: {Class: Recipient, Name: "BSUID_UNSUPPORTED", Remedy: "This kind of message needs the person's phone number."},
	137000: {Class: Recipient, Name: "IDENTITY_MISMATCH", Remedy: "This person's WhatsApp identity has changed. Confirm it before writing again."},

	// The campaign: template, parameters, media.
	131053: {Class: Campaign, Name: "MEDIA_UPLOAD", Remedy: mediaRemedy},
	131055: {Class: Campaign, Name: "NOT_MARKETING", Remedy: templateRemedy},
	131061: {Class: Campaign, Name: "MAX_PRICE_TEMPLATE", Remedy: "A template with a maximum price goes through the marketing messages API only."},
	131063: {Class: Campaign, Name: "MARKETING_DISABLED", Remedy: "Marketing through this API is switched off for the account."},
	132000: {Class: Campaign, Name: "TEMPLATE_PARAM_COUNT", Remedy: templateRemedy},
	132001: {Class: Campaign, Name: "TEMPLATE_NOT_FOUND", Scope: failure.OwnTemplate, Remedy: "The template does not exist in this language, or is not approved. Sync the templates."},
	132005: {Class: Request, Name: "TEMPLATE_TEXT_TOO_LONG", Remedy: "With this person's values the text is too long."},
	132007: {Class: Campaign, Name: "TEMPLATE_POLICY", Scope: failure.OwnTemplate, Remedy: "The template's text breaks a policy of Meta's. Change it."},
	132008: {Class: Request, Name: "TEMPLATE_PARAM_VALUE", Remedy: "One of this person's values is not what the template takes."}, // reported by API users
	132012: {Class: Campaign, Name: "TEMPLATE_PARAM_FORMAT", Remedy: templateRemedy},
	132015: {Class: Hold, Name: "TEMPLATE_PAUSED", Remedy: "Meta has paused the template for low quality, for 3 hours the first time and 6 the second. The campaign goes on when it is released."},
	132016: {Class: Campaign, Name: "TEMPLATE_DISABLED", Scope: failure.OwnTemplate, Remedy: "Meta has disabled the template for good. Make another one."},
	// One person's value can be the reason of 132018, 131008 and 131009. When it is the
	// template's, everybody fails, and the circuit breaker halts the campaign.
	132018: {Class: Request, Name: "TEMPLATE_INVALID", Remedy: valueRemedy},
	132068: {Class: Campaign, Name: "FLOW_BLOCKED", Remedy: flowRemedy},
	132069: {Class: Later, Name: "FLOW_THROTTLED", Remedy: flowRemedy, Wait: time.Hour},
	134100: {Class: Campaign, Name: "MM_ONLY_MARKETING", Remedy: templateRemedy},
	134101: {Class: Later, Name: "MM_TEMPLATE_SYNCING", Remedy: laterRemedy, Wait: 10 * time.Minute},
	134102: {Class: Campaign, Name: "MM_TEMPLATE_UNAVAILABLE", Remedy: templateRemedy},
	134103: {Class: Campaign, Name: "MM_TEMPLATE_UNSUPPORTED", Remedy: templateRemedy}, // reported by API users

	// The account or number.
	33:     {Class: Account, Name: "NUMBER_DELETED", Scope: failure.OwnNumber, Remedy: numberRemedy},
	368:    {Class: Account, Name: "POLICY_BLOCK", Remedy: "Meta has blocked the account for a while for breaking a policy. See WhatsApp Manager."},
	131031: {Class: Account, Name: "ACCOUNT_LOCKED", Remedy: "Meta has locked the account. See Business Support Home."},
	131037: {Class: Account, Name: "DISPLAY_NAME_PENDING", Scope: failure.OwnNumber, Remedy: "The number needs an approved display name before it can write."},
	// No webhook tells that an account can be billed again.
	131042: {Class: Account, Name: "PAYMENT_ISSUE", Probe: 6 * time.Hour, Remedy: "Meta cannot bill the account. Add or repair the payment method in WhatsApp Manager, then resume; without that it is tried again every six hours."},
	131045: {Class: Account, Name: "NUMBER_NOT_READY", Scope: failure.OwnNumber, Remedy: numberRemedy},
	131048: {Class: Account, Name: "SPAM_RATE_LIMIT", Scope: failure.OwnNumber, Remedy: "Too many people blocked or reported the number. Stop for some hours and look at its quality."},
	131064: {Class: Account, Name: "MISCLASSIFICATION_LIMIT", Remedy: "Meta limits the account for templates in the wrong category. It ends by itself."},
	133010: {Class: Account, Name: "NUMBER_NOT_REGISTERED", Scope: failure.OwnNumber, Remedy: numberRemedy},
	134011: {Class: Account, Name: "PAYMENTS_TERMS", Remedy: "Accept the terms of WhatsApp Payments in WhatsApp Manager."},
	135000: {Class: Request, Name: "GENERIC_USER_ERROR", Remedy: "Meta refused the message without a reason, which it also does when it holds back a portfolio of low quality."},

	// Our request.
	100:    {Class: Request, Name: "INVALID_PARAMETER", Remedy: "Meta did not understand the request. Tell support."},
	803:    {Class: Request, Name: "NOT_FOUND", Remedy: "Meta does not know this object."},
	131008: {Class: Request, Name: "PARAMETER_MISSING", Remedy: valueRemedy},
	131009: {Class: Request, Name: "PARAMETER_INVALID", Remedy: valueRemedy},
	131051: {Class: Request, Name: "MESSAGE_TYPE", Remedy: "This type of message is not supported."},
	131052: {Class: Request, Name: "MEDIA_DOWNLOAD", Remedy: "A file that was sent to you could not be fetched."},
	131060: {Class: Request, Name: "MESSAGE_UNAVAILABLE", Remedy: "The message is not available here."},

	// Numbers: registration and verification.
	133000: {Class: Later, Name: "DEREGISTRATION_INCOMPLETE", Remedy: numberRemedy, Wait: time.Minute},
	133005: {Class: Request, Name: "PIN_MISMATCH", Remedy: "The two-step PIN is wrong."},
	133006: {Class: Request, Name: "REVERIFY", Remedy: "The number must be verified again."},
	133008: {Class: Later, Name: "PIN_GUESSES", Remedy: laterRemedy, Wait: time.Hour},
	133009: {Class: Later, Name: "PIN_TOO_FAST", Remedy: laterRemedy, Wait: time.Minute},
	133015: {Class: Later, Name: "NUMBER_RECENTLY_DELETED", Remedy: laterRemedy, Wait: 5 * time.Minute},
	133016: {Class: Later, Name: "REGISTER_LIMIT", Remedy: "A number can be registered ten times in 72 hours.", Wait: 72 * time.Hour},
	136024: {Class: Later, Name: "REQUEST_CODE_LIMIT", Remedy: laterRemedy, Wait: time.Hour}, // reported by API users

	// Templates: making and reading them.
	200005:  {Class: Request, Name: "TEMPLATE_INSIGHTS", Remedy: "Template insights are not available for this account."},
	200006:  {Class: Request, Name: "TEMPLATE_INSIGHTS", Remedy: "Template insights cannot be switched off."},
	200007:  {Class: Request, Name: "TEMPLATE_INSIGHTS", Remedy: "Template insights are not switched on."},
	2388019: {Class: Request, Name: "TEMPLATE_LIMIT", Remedy: "The account has as many templates as Meta allows."},
	2388024: {Class: Request, Name: "TEMPLATE_EXISTS", Remedy: "A template with this name and language exists."},
	2388039: {Class: Later, Name: "TEMPLATE_IN_REVIEW", Remedy: laterRemedy, Wait: time.Hour},
	2388040: {Class: Request, Name: "TEMPLATE_LENGTH", Remedy: "A part of the template is too long."},
	2388047: {Class: Request, Name: "TEMPLATE_HEADER", Remedy: "The template's header is not in the form Meta takes."},
	2388072: {Class: Request, Name: "TEMPLATE_BODY", Remedy: "The template's body is not in the form Meta takes."},
	2388073: {Class: Request, Name: "TEMPLATE_FOOTER", Remedy: "The template's footer is not in the form Meta takes."},
	2388293: {Class: Request, Name: "TEMPLATE_VARIABLES", Remedy: "The template has too many variables for its length."},
	2388299: {Class: Request, Name: "TEMPLATE_VARIABLES", Remedy: "A variable cannot stand at the start or end of a template."},
}
