// Package pdf draws documents that a business sends: A4, vector, with text shaped as
// its script wants it. Its law: the same input gives the same bytes, and no text is left
// out because its script is foreign. It draws what it is given and decides nothing.
package pdf

import (
	_ "embed" // the Latin fonts below
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/tdewolff/canvas"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// The Latin, Greek and Cyrillic faces travel with the program, so that a document can be
// made anywhere. Their licence is in fonts/OFL.txt.
var (
	//go:embed fonts/NotoSans-Regular.ttf
	regularTTF []byte
	//go:embed fonts/NotoSans-Bold.ttf
	boldTTF []byte
)

// ErrFonts says that the built-in fonts do not load: a broken build.
var ErrFonts = errs.New(errs.Internal, "pdf.fonts", "the built-in fonts cannot be read")

// script is one writing system that has a Noto file of its own.
type script struct {
	table *unicode.RangeTable
	file  string // NotoSans<file>-Regular.ttf
}

// scripts are those of the vendors we have and their neighbours, from Debian's
// fonts-noto-core. Chinese, Japanese and Korean are in other packages.
func scripts() []script {
	return []script{
		{unicode.Devanagari, "Devanagari"},
		{unicode.Bengali, "Bengali"},
		{unicode.Gurmukhi, "Gurmukhi"},
		{unicode.Gujarati, "Gujarati"},
		{unicode.Oriya, "Oriya"},
		{unicode.Tamil, "Tamil"},
		{unicode.Telugu, "Telugu"},
		{unicode.Kannada, "Kannada"},
		{unicode.Malayalam, "Malayalam"},
		{unicode.Sinhala, "Sinhala"},
		{unicode.Arabic, "Arabic"},
		{unicode.Hebrew, "Hebrew"},
		{unicode.Thai, "Thai"},
		{unicode.Lao, "Lao"},
		{unicode.Khmer, "Khmer"},
		{unicode.Myanmar, "Myanmar"},
		{unicode.Armenian, "Armenian"},
		{unicode.Georgian, "Georgian"},
		{unicode.Ethiopic, "Ethiopic"},
	}
}

// Renderer makes documents. It reads each font once and draws one document at a time:
// the fonts' shapers are not safe for concurrent use. Two that draw at once need two.
type Renderer struct {
	mu      sync.Mutex
	dir     string
	fonts   map[string]*canvas.Font // by file; nil: not there
	regular *canvas.Font
	bold    *canvas.Font
}

// New returns a renderer that finds the fonts of other scripts in fontDir (Debian's
// fonts-noto-core puts them in /usr/share/fonts/truetype/noto). A letter that no font
// has comes out as the replacement character.
//
// Errors: pdf.fonts.
func New(fontDir string) (*Renderer, error) {
	regular, err := canvas.LoadFont(regularTTF, 0, canvas.FontRegular)
	if err != nil {
		return nil, ErrFonts.With(err)
	}
	bold, err := canvas.LoadFont(boldTTF, 0, canvas.FontBold)
	if err != nil {
		return nil, ErrFonts.With(err)
	}
	return &Renderer{dir: fontDir, fonts: map[string]*canvas.Font{}, regular: regular, bold: bold}, nil
}

// base is the built-in face of a weight.
func (r *Renderer) base(bold bool) *canvas.Font {
	if bold {
		return r.bold
	}
	return r.regular
}

// scriptFont returns the font of a script's file, nil where it is not installed.
func (r *Renderer) scriptFont(file string, bold bool) *canvas.Font {
	name, style := "NotoSans"+file+"-Regular.ttf", canvas.FontRegular
	if bold {
		name, style = "NotoSans"+file+"-Bold.ttf", canvas.FontBold
	}
	if f, ok := r.fonts[name]; ok {
		return f
	}
	r.fonts[name] = nil
	if text, err := fs.ReadFile(os.DirFS(r.dir), name); err == nil {
		if f, err := canvas.LoadFont(text, 0, style); err == nil {
			r.fonts[name] = f
		}
	}
	return r.fonts[name]
}

// fontFor chooses the font of one character inside a text: the one of its script; what
// scripts share (spaces, digits, joiners, the danda) stays with the run it is in.
func (r *Renderer) fontFor(c rune, bold bool, current *canvas.Font) *canvas.Font {
	for _, s := range scripts() {
		if unicode.Is(s.table, c) {
			if f := r.scriptFont(s.file, bold); f != nil && f.GlyphIndex(c) != 0 {
				return f
			}
		}
	}
	shared := unicode.In(c, unicode.Common, unicode.Inherited)
	if shared && current != nil && (current.GlyphIndex(c) != 0 || unicode.Is(unicode.Cf, c)) {
		return current
	}
	return r.base(bold)
}

// ink is how a text looks.
type ink struct {
	size float64 // points
	bold bool
	fill string // #rrggbb
}

// rich cuts text into runs of one font each. The order of right-to-left runs and the
// shaping inside a run are the library's.
func (r *Renderer) rich(text string, i ink) *canvas.RichText {
	faces := map[*canvas.Font]*canvas.FontFace{}
	face := func(f *canvas.Font) *canvas.FontFace {
		if faces[f] == nil {
			faces[f] = f.Face(i.size, canvas.Hex(i.fill))
		}
		return faces[f]
	}
	out := canvas.NewRichText(face(r.base(i.bold)))
	var run strings.Builder
	var current *canvas.Font
	for _, c := range text {
		f := r.fontFor(c, i.bold, current)
		if f.GlyphIndex(c) == 0 {
			switch {
			case unicode.IsControl(c):
				continue
			case !unicode.Is(unicode.Cf, c): // joiners shape without a glyph of their own
				f, c = r.base(i.bold), unicode.ReplacementChar
			}
		}
		if current != nil && f != current {
			out.WriteFace(face(current), run.String())
			run.Reset()
		}
		current = f
		run.WriteRune(c)
	}
	if current != nil {
		out.WriteFace(face(current), run.String())
	}
	return out
}
