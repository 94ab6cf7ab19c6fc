package metasim

// quickDecode reads the one body that makes up nearly all traffic, a template
// message of text parameters, five times faster than encoding/json. Whatever
// it does not know (another key, an escape, another type) makes it give up
// and say so: it never decides that a body is wrong. A test holds it to
// encoding/json's results.
func quickDecode(body []byte, m *sendRequest) bool {
	q := quickReader{b: body}
	ok := q.object(func(key string) bool {
		switch key {
		case "messaging_product":
			return q.text(&m.MessagingProduct)
		case "recipient_type":
			return q.text(&m.RecipientType)
		case "to":
			return q.text((*string)(&m.To))
		case "type":
			return q.text(&m.Type)
		case "biz_opaque_callback_data":
			return q.text(&m.Opaque)
		case "template":
			if m.Template != nil {
				return false // a key twice: encoding/json knows what that means
			}
			m.Template = &templateToSend{}
			return q.template(m.Template)
		}
		return false
	})
	q.space()
	return ok && q.at == len(q.b)
}

func (q *quickReader) template(t *templateToSend) bool {
	return q.object(func(key string) bool {
		switch key {
		case "name":
			return q.text(&t.Name)
		case "language":
			return q.object(func(key string) bool {
				switch key {
				case "code":
					return q.text(&t.Language.Code)
				case "policy":
					return q.text(&t.Language.Policy)
				}
				return false
			})
		case "components":
			if t.Components != nil {
				return false
			}
			t.Components = []sentComponent{}
			return q.array(func() bool {
				t.Components = append(t.Components, sentComponent{})
				return q.component(&t.Components[len(t.Components)-1])
			})
		}
		return false
	})
}

func (q *quickReader) component(c *sentComponent) bool {
	return q.object(func(key string) bool {
		switch key {
		case "type":
			return q.text(&c.Type)
		case "sub_type":
			return q.text(&c.SubType)
		case "index":
			return q.text((*string)(&c.Index))
		case "parameters":
			if c.Parameters != nil {
				return false
			}
			c.Parameters = []parameter{}
			return q.array(func() bool {
				c.Parameters = append(c.Parameters, parameter{})
				return q.parameter(&c.Parameters[len(c.Parameters)-1])
			})
		}
		return false
	})
}

func (q *quickReader) parameter(p *parameter) bool {
	return q.object(func(key string) bool {
		switch key {
		case "type":
			return q.text(&p.Type)
		case "parameter_name":
			return q.text(&p.ParameterName)
		case "text":
			p.Text = new(flexString)
			return q.text((*string)(p.Text))
		case "payload":
			return q.text(&p.Payload)
		}
		return false
	})
}

// quickReader reads JSON without escapes, numbers or null.
type quickReader struct {
	b  []byte
	at int
}

func (q *quickReader) space() {
	for q.at < len(q.b) {
		switch q.b[q.at] {
		case ' ', '\t', '\n', '\r':
			q.at++
		default:
			return
		}
	}
}

// take skips white space and one expected character.
func (q *quickReader) take(c byte) bool {
	q.space()
	if q.at < len(q.b) && q.b[q.at] == c {
		q.at++
		return true
	}
	return false
}

func (q *quickReader) object(member func(key string) bool) bool {
	if !q.take('{') {
		return false
	}
	if q.take('}') {
		return true
	}
	for {
		key, ok := q.raw()
		if !ok || !q.take(':') || !member(string(key)) {
			return false
		}
		if q.take('}') {
			return true
		}
		if !q.take(',') {
			return false
		}
	}
}

func (q *quickReader) array(element func() bool) bool {
	if !q.take('[') {
		return false
	}
	if q.take(']') {
		return true
	}
	for element() {
		if q.take(']') {
			return true
		}
		if !q.take(',') {
			return false
		}
	}
	return false
}

// raw is a string of plain ASCII; others are left to encoding/json, which
// also mends invalid UTF-8.
func (q *quickReader) raw() ([]byte, bool) {
	if !q.take('"') {
		return nil, false
	}
	from := q.at
	for ; q.at < len(q.b); q.at++ {
		switch c := q.b[q.at]; {
		case c == '"':
			q.at++
			return q.b[from : q.at-1], true
		case c == '\\' || c < 0x20 || c >= 0x80:
			return nil, false
		}
	}
	return nil, false
}

func (q *quickReader) text(to *string) bool {
	s, ok := q.raw()
	*to = string(s)
	return ok
}
