package pdf

import (
	"bytes"
	"time"

	"github.com/tdewolff/canvas"
	"github.com/tdewolff/canvas/renderers/pdf"
)

// A4, in millimetres, and its margins.
const (
	pageWidth  = 210.0
	pageHeight = 297.0
	margin     = 18.0
	content    = pageWidth - 2*margin
)

// The colours: ink for what is read, muted for what is looked up, accent for the house.
const (
	colourInk    = "#17212b"
	colourMuted  = "#66737f"
	colourAccent = "#0f766e"
	colourTint   = "#eef6f5"
	colourRule   = "#d8e0e5"
	colourStripe = "#f7f9fa"
	colourWhite  = "#ffffff"
)

// sheet collects what is drawn on each page; the pages are written when their number is
// known. Positions are millimetres from the top left corner.
type sheet struct {
	r     *Renderer
	pages [][]func(*canvas.Context)
	total int // pages, known when they are written
}

// page begins a new page.
func (s *sheet) page() { s.pages = append(s.pages, nil) }

// draw adds to the last page.
func (s *sheet) draw(f func(*canvas.Context)) {
	last := len(s.pages) - 1
	s.pages[last] = append(s.pages[last], f)
}

// rect is a part of a page in millimetres, from its upper left corner.
type rect struct{ x, y, w, h float64 }

// box fills a rectangle with rounded corners.
func (s *sheet) box(r rect, radius float64, fill string) {
	s.draw(func(c *canvas.Context) {
		c.SetFillColor(canvas.Hex(fill))
		c.SetStrokeColor(canvas.Transparent)
		path := canvas.Rectangle(r.w, r.h)
		if radius > 0 {
			path = canvas.RoundedRectangle(r.w, r.h, radius)
		}
		c.DrawPath(r.x, pageHeight-r.y-r.h, path)
	})
}

// rule draws a thin horizontal line.
func (s *sheet) rule(x, y, w, thickness float64, fill string) {
	s.box(rect{x, y, w, thickness}, 0, fill)
}

// text writes one line with its baseline at y, and returns its width.
func (s *sheet) text(x, y float64, text string, i ink, align canvas.TextAlign) float64 {
	t := s.r.rich(text, i).ToText(0, 0, canvas.Left, canvas.Top, nil)
	width, ascent := s.measure(t)
	switch align {
	case canvas.Right:
		x -= width
	case canvas.Center, canvas.Middle:
		x -= width / 2
	case canvas.Left, canvas.Top, canvas.Bottom, canvas.Justify:
	}
	s.draw(func(c *canvas.Context) { c.DrawText(x, pageHeight-y+ascent, t) })
	return width
}

// measure returns a line's width, and how far its baseline is under its top.
func (s *sheet) measure(t *canvas.Text) (width, ascent float64) {
	if t.Empty() {
		return 0, 0
	}
	t.WalkLines(func(y float64, _ []canvas.TextSpan) { ascent = -y })
	bounds := t.Bounds()
	return bounds.X1 - bounds.X0, ascent
}

// width is how wide a line would be.
func (s *sheet) width(text string, i ink) float64 {
	w, _ := s.measure(s.r.rich(text, i).ToText(0, 0, canvas.Left, canvas.Top, nil))
	return w
}

// fit is text with its size reduced until it is at most wide, down to two thirds.
func (s *sheet) fit(text string, i ink, wide float64) ink {
	smallest := i.size * 2 / 3
	for i.size > smallest && s.width(text, i) > wide {
		i.size -= 0.25
	}
	return i
}

// paragraph writes text wrapped to a width from y (its top) on, and returns its height.
func (s *sheet) paragraph(x, y, wide float64, text string, i ink) float64 {
	t := s.r.rich(text, i).ToText(wide, 0, canvas.Left, canvas.Top, &canvas.TextOptions{
		LineStretch: 0.1, Linebreaker: canvas.GreedyLinebreaker{},
	})
	s.draw(func(c *canvas.Context) { c.DrawText(x, pageHeight-y, t) })
	_, bottom := t.Heights()
	return bottom
}

// title is what readers of PDF files show of a document.
type title struct{ title, subject, author, lang string }

// write makes the file. foot is drawn on every page, with its number from 1.
func (s *sheet) write(about title, at time.Time, foot func(page int)) ([]byte, error) {
	all := s.pages
	s.total = len(all)
	for i := range all {
		s.pages = all[:i+1] // draw adds to the last of these
		foot(i + 1)
	}

	var out bytes.Buffer
	p := pdf.New(&out, pageWidth, pageHeight, nil)
	p.SetInfo(about.title, about.subject, "", about.author, "Kloyst")
	for i, page := range all {
		if i > 0 {
			p.NewPage(pageWidth, pageHeight)
		}
		c := canvas.NewContext(p)
		for _, draw := range page {
			draw(c)
		}
	}
	if err := p.Close(); err != nil {
		return nil, err
	}
	return finish(out.Bytes(), at, about.lang)
}
