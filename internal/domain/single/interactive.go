package single

import "slices"

// Limits of interactive messages, in characters and pieces.
// Source: Meta, Cloud API messages reference and OpenAPI file v23.0, read 2026-09.
const (
	maxInteractiveBody = 1024
	maxFooter          = 60
	maxButtons         = 3
	maxButtonTitle     = 20
	maxButtonID        = 256
	maxRows            = 10
	maxRowTitle        = 24
	maxRowID           = 200
	maxRowDescription  = 72
)

// interactiveTypes are those that Meta documents.
func interactiveTypes() []string {
	return []string{
		"button", "list", "cta_url", "flow", "location_request_message", "contact_request", "product", "product_list",
		"catalog_message", "address_message", "call_permission_request", "voice_call", "carousel",
	}
}

// checkInteractive checks what all interactive messages have, and buttons and lists to
// the end; what else a type needs, Meta checks.
func checkInteractive(i map[string]any) error {
	kind := str(i, "type")
	if !slices.Contains(interactiveTypes(), kind) {
		return bad("/interactive/type", "not a type of interactive message")
	}
	text := str(obj(i, "body"), "text")
	if text == "" && kind != "product" && kind != "carousel" {
		return bad("/interactive/body/text", "the text is empty")
	}
	if err := atMost("/interactive/body/text", text, maxInteractiveBody); err != nil {
		return err
	}
	if err := atMost("/interactive/footer/text", str(obj(i, "footer"), "text"), maxFooter); err != nil {
		return err
	}
	action := obj(i, "action")
	switch kind {
	case "button":
		return checkButtons(list(action, "buttons"))
	case "list":
		return checkList(action)
	}
	return nil
}

func checkButtons(buttons []map[string]any) error {
	const at = "/interactive/action/buttons"
	if len(buttons) < 1 || len(buttons) > maxButtons {
		return bad(at, "there must be 1 to 3 buttons")
	}
	seen := map[string]bool{}
	for _, b := range buttons {
		reply := obj(b, "reply")
		name, title := str(reply, "id"), str(reply, "title")
		switch {
		case name == "" || title == "":
			return bad(at, "a button needs an id and a title")
		case seen["id "+name] || seen["title "+title]:
			return bad(at, "two buttons have the same id or title")
		}
		seen["id "+name], seen["title "+title] = true, true
		if err := atMost(at, title, maxButtonTitle); err != nil {
			return err
		}
		if err := atMost(at, name, maxButtonID); err != nil {
			return err
		}
	}
	return nil
}

func checkList(action map[string]any) error {
	const at = "/interactive/action/sections"
	button := str(action, "button")
	if button == "" {
		return bad("/interactive/action/button", "a list needs the text of its button")
	}
	if err := atMost("/interactive/action/button", button, maxButtonTitle); err != nil {
		return err
	}
	sections, rows := list(action, "sections"), 0
	for _, s := range sections {
		if len(sections) > 1 && str(s, "title") == "" {
			return bad(at, "with more than one section each needs a title")
		}
		for _, row := range list(s, "rows") {
			rows++
			if err := checkRow(at, row); err != nil {
				return err
			}
		}
	}
	if rows < 1 || rows > maxRows {
		return bad(at, "there must be 1 to 10 rows in all")
	}
	return nil
}

func checkRow(at string, row map[string]any) error {
	if str(row, "id") == "" || str(row, "title") == "" {
		return bad(at, "a row needs an id and a title")
	}
	for key, most := range map[string]int{"id": maxRowID, "title": maxRowTitle, "description": maxRowDescription} {
		if err := atMost(at, str(row, key), most); err != nil {
			return err
		}
	}
	return nil
}

func obj(m map[string]any, key string) map[string]any {
	out, _ := m[key].(map[string]any)
	return out
}

func str(m map[string]any, key string) string {
	out, _ := m[key].(string)
	return out
}

func list(m map[string]any, key string) []map[string]any {
	all, _ := m[key].([]any)
	out := make([]map[string]any, 0, len(all))
	for _, x := range all {
		one, _ := x.(map[string]any)
		out = append(out, one)
	}
	return out
}
