package metasim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Limits of template management. Source: Meta, template management, read
// 2026-09.
const (
	maxTemplates       = 6000 // of a verified portfolio
	maxCreationsHourly = 100
	nameLock           = 30 * 24 * 3600 * second // after deleting an approved template
	editsPerDay        = 1
	editsPerMonth      = 10
)

func (c *call) listTemplates(w *waba) {
	q := c.query
	rows := []map[string]any{}
	w.mu.Lock()
	for _, t := range slices.Backward(w.templates) { // newest first
		switch {
		case q.Get("status") != "" && !strings.EqualFold(q.Get("status"), t.status),
			q.Get("name") != "" && !strings.Contains(t.key.name, q.Get("name")),
			q.Get("language") != "" && !strings.EqualFold(q.Get("language"), t.key.language),
			q.Get("category") != "" && !strings.EqualFold(q.Get("category"), t.category),
			q.Get("quality_score") != "" && !strings.EqualFold(q.Get("quality_score"), t.quality):
		default:
			rows = append(rows, t.fields())
		}
	}
	w.mu.Unlock()
	c.list("MessageTemplate", rows, "name", "parameter_format", "components", "language", "status", "category", "sub_category", "id")
}

func (c *call) createTemplate(w *waba) {
	var in templateInput
	if err := c.decode(&in); err != nil {
		c.fail(err)
		return
	}
	in.Category = strings.ToUpper(in.Category)
	comps, err := in.check()
	if err == nil {
		err = c.roomForTemplate(w, &in)
	}
	if err != nil {
		c.fail(err)
		return
	}
	t := c.s.newTemplate(w, &in, comps)
	c.s.review(t)
	c.answer(http.StatusOK, map[string]any{"id": t.id, "status": statusPending, "category": in.Category})
}

// roomForTemplate checks names and limits and books the creation.
func (c *call) roomForTemplate(w *waba, in *templateInput) *graphError {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := templateKey{in.Name, in.Language}
	if t := w.byName[key]; t != nil {
		return invalidTemplate(subDuplicate, "Content in This Language Already Exists",
			"There is already %s content for this template. You can create a new template and try again.", in.Language)
	}
	if until, ok := w.namesLocked[in.Name]; ok && c.arrived < until {
		return invalidTemplate(subDuplicate, "Message template name is being deleted",
			"New content for this name can't be added while the existing content is being deleted. Try again in 4 weeks or use another name.")
	}
	w.createdAt = slices.DeleteFunc(w.createdAt, func(at int64) bool { return c.arrived-at >= 3600*second })
	if len(w.createdAt) >= maxCreationsHourly {
		return refuse(80007)
	}
	if len(w.templates) >= maxTemplates {
		return invalidTemplate(subLimit, "Message template limit exceeded", "The account has reached its limit of %d templates.", maxTemplates)
	}
	w.createdAt = append(w.createdAt, c.arrived)
	return nil
}

// review approves the template after the configured time.
func (s *Sim) review(t *template) {
	t.waba.mu.Lock()
	t.review++
	round := t.review
	t.waba.mu.Unlock()
	delay := int64(s.config().ReviewDelayMS) * int64(time.Millisecond)
	s.sched.push(s.clock.nanos()+delay, job{do: func() {
		t.waba.mu.Lock()
		open := t.status == statusPending && t.review == round
		t.waba.mu.Unlock()
		if open {
			s.setStatus(t, statusApproved, "NONE")
		}
	}})
}

// setStatus changes a template's state and tells the account's subscribers.
func (s *Sim) setStatus(t *template, status, reason string) {
	w := t.waba
	w.mu.Lock()
	if t.status == statusPaused && status == statusApproved {
		t.pacing = pacing{held: t.pacing.held} // an unpaused template is paced anew
	}
	t.status = status
	t.rejectedReason = ""
	if status == statusRejected {
		t.rejectedReason = reason
	}
	value := map[string]any{
		"event": status, "message_template_id": t.webhookID(), "message_template_name": t.key.name,
		"message_template_language": strings.ReplaceAll(t.key.language, "_", "-"), // hyphenated in webhooks only
		"reason":                    reason, "message_template_category": t.category,
	}
	switch status {
	case statusPaused:
		t.pauses++
		t.quality = "RED"
		title, hours := "FIRST_PAUSE", 3
		if t.pauses > 1 {
			title, hours = "SECOND_PAUSE", 6
		}
		value["other_info"] = map[string]any{
			"title": title, "description": fmt.Sprintf("Your WhatsApp message template has been paused for %d hours.", hours),
		}
	case statusDisabled:
		value["other_info"] = map[string]any{"title": "DISABLED", "description": "Your WhatsApp message template has been disabled."}
	case statusRejected:
		value["rejection_info"] = map[string]any{"reason": "The template was rejected.", "recommendation": "Edit the template and submit it again."}
	case statusPendingDeletion:
		value["reason"] = nil
	}
	w.mu.Unlock()
	s.emit(w, "", "message_template_status_update", value)
}

// setTemplateStatus is POST /_sim/templates/{id}/status.
func (s *Sim) setTemplateStatus(id string, body []byte) (any, error) {
	t := s.reg.template(id)
	if t == nil {
		return nil, fmt.Errorf("templates: no template %s", id)
	}
	var in struct {
		Status   string `json:"status"`
		Reason   string `json:"reason"`
		Category string `json:"category"` // changes the category as well, with its webhook
		Pacing   string `json:"pacing"`   // good or bad: the verdict on what is held
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	known := []string{"", statusPending, statusApproved, statusRejected, statusPaused, statusDisabled, statusPendingDeletion}
	if !slices.Contains(known, in.Status) {
		return nil, fmt.Errorf("templates: status %q is not known", in.Status)
	}
	if in.Pacing != "" && in.Pacing != pacingGood && in.Pacing != pacingBad {
		return nil, fmt.Errorf("templates: pacing %q is neither good nor bad", in.Pacing)
	}
	if in.Pacing != "" {
		s.judge(t, in.Pacing == pacingGood)
	}
	if in.Category != "" {
		t.waba.mu.Lock()
		old := t.category
		t.previousCategory, t.category = old, in.Category
		t.waba.mu.Unlock()
		s.emit(t.waba, "", "template_category_update", map[string]any{
			"message_template_id": t.webhookID(), "message_template_name": t.key.name,
			"message_template_language": strings.ReplaceAll(t.key.language, "_", "-"),
			"previous_category":         old, "new_category": in.Category,
		})
	}
	if in.Status != "" {
		s.setStatus(t, in.Status, first(in.Reason, "NONE"))
	}
	t.waba.mu.Lock()
	defer t.waba.mu.Unlock()
	return t.fields(), nil
}

func (c *call) routeTemplate(id, edge string) {
	t := c.s.reg.template(id)
	if !c.token.wabas[t.waba.id] {
		c.fail(unknownObject(c.r.Method, id))
		return
	}
	if err := c.manage(t.waba); err != nil {
		c.fail(err)
		return
	}
	switch c.r.Method + " " + edge {
	case "GET ":
		t.waba.mu.Lock()
		fields := t.fields()
		t.waba.mu.Unlock()
		c.node("MessageTemplate", fields, "name", "parameter_format", "components", "language", "status", "category", "sub_category", "id")
	case "POST ":
		c.editTemplate(t)
	case "POST unpause":
		t.waba.mu.Lock()
		paused := t.status == statusPaused
		t.waba.mu.Unlock()
		if paused {
			c.s.setStatus(t, statusApproved, "NONE")
		}
		c.answer(http.StatusOK, map[string]any{"success": paused})
	default:
		c.fail(unknownObject(c.r.Method, id+"/"+edge))
	}
}

// editTemplate is POST /{template-id}: category, components and time to live;
// then the template is reviewed again.
func (c *call) editTemplate(t *template) {
	t.waba.mu.Lock()
	in := templateInput{
		Name: t.key.name, Language: t.key.language, Category: t.category,
		ParameterFormat: t.format, TTL: t.ttl, Components: t.components,
	}
	status, category := t.status, t.category
	t.edits = slices.DeleteFunc(t.edits, func(at int64) bool { return c.arrived-at >= 30*24*3600*second })
	month, day := len(t.edits), 0
	for _, at := range t.edits {
		if c.arrived-at < 24*3600*second {
			day++
		}
	}
	t.waba.mu.Unlock()
	if err := c.decode(&in); err != nil {
		c.fail(err)
		return
	}
	in.Name, in.Language, in.Category = t.key.name, t.key.language, strings.ToUpper(in.Category)
	comps, err := in.checkContent()
	switch {
	case status != statusApproved && status != statusRejected && status != statusPaused:
		err = invalidTemplate(subLocked, "Message template cannot be edited", "Only APPROVED, REJECTED and PAUSED templates can be edited.")
	case status == statusApproved && in.Category != category:
		err = invalidTemplate(0, "Category of an approved template cannot change", "The category of an approved template cannot be edited.")
	case status == statusApproved && (day >= editsPerDay || month >= editsPerMonth):
		err = invalidTemplate(subLocked, "Message template was edited too often", "An approved template can be edited once in 24 hours and 10 times in 30 days.")
	}
	if err != nil {
		c.fail(err)
		return
	}
	t.waba.mu.Lock()
	if status == statusApproved {
		t.edits = append(t.edits, c.arrived)
	}
	t.category, t.ttl, t.components = in.Category, in.TTL, in.Components
	t.shape = newShape(in.Category, t.format, comps)
	t.status = statusPending
	t.waba.mu.Unlock()
	c.s.review(t)
	c.success()
}

// deleteTemplates is DELETE /{waba}/message_templates by name, by name and
// hsm_id, or by hsm_ids.
func (c *call) deleteTemplates(w *waba) {
	name, id := c.param("name"), c.param("hsm_id")
	var ids []string
	if list := c.param("hsm_ids"); list != "" {
		var given []flexString
		if json.Unmarshal([]byte(list), &given) != nil || len(given) > 100 {
			c.fail(&graphError{code: 100, details: "-", message: "(#100) Param hsm_ids must be a list of at most 100 ids."})
			return
		}
		for _, x := range given {
			ids = append(ids, string(x))
		}
	}
	if id != "" {
		ids = append(ids, id)
	}
	if name == "" && len(ids) == 0 {
		c.fail(missingParameter("name"))
		return
	}
	if err := c.remove(w, name, ids); err != nil {
		c.fail(err)
		return
	}
	c.success()
}

func (c *call) remove(w *waba, name string, ids []string) *graphError {
	w.mu.Lock()
	defer w.mu.Unlock()
	chosen := func(t *template) bool {
		if len(ids) > 0 {
			return slices.Contains(ids, t.id) && (name == "" || t.key.name == name)
		}
		return t.key.name == name
	}
	var gone []*template
	for _, t := range w.templates {
		if !chosen(t) {
			continue
		}
		if t.status == statusDisabled {
			return invalidTemplate(subLocked, "Message template cannot be deleted", "A disabled template cannot be deleted.")
		}
		gone = append(gone, t)
	}
	if len(gone) == 0 {
		return invalidTemplate(2593002, "Message template not found", "There is no such template to delete.")
	}
	for _, t := range gone {
		if t.status == statusApproved {
			if w.namesLocked == nil {
				w.namesLocked = map[string]int64{}
			}
			w.namesLocked[t.key.name] = c.arrived + nameLock
		}
		delete(w.byName, t.key)
	}
	w.templates = slices.DeleteFunc(w.templates, chosen)
	c.s.reg.mu.Lock()
	for _, t := range gone {
		delete(c.s.reg.templates, t.id)
	}
	c.s.reg.mu.Unlock()
	return nil
}
