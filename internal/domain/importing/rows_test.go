package importing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func headers() []string { return []string{"phone", "name", "tags", "city"} }

func plan(t *testing.T) *importing.Plan {
	t.Helper()
	p, err := importing.NewPlan(headers(), importing.Mapping{
		Phone: "phone", Name: "name", Labels: "tags", Attributes: map[string]string{"city": "city"}, AddLabels: []string{"october"},
	}, "IN")
	require.NoError(t, err)
	return p
}

func TestMapping_Validate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		m    importing.Mapping
		code string
	}{
		"accepts a phone column alone":    {m: importing.Mapping{Phone: "phone"}},
		"wants a phone column":            {m: importing.Mapping{Name: "name"}, code: "import.phone_column_required"},
		"refuses a column that is absent": {m: importing.Mapping{Phone: "mobile"}, code: "import.invalid_mapping"},
		"refuses an absent attribute":     {m: importing.Mapping{Phone: "phone", Attributes: map[string]string{"x": "zip"}}, code: "import.invalid_mapping"},
		"refuses an odd attribute name":   {m: importing.Mapping{Phone: "phone", Attributes: map[string]string{"a b": "city"}}, code: "import.invalid_mapping"},
		"refuses an endless label":        {m: importing.Mapping{Phone: "phone", AddLabels: []string{strings.Repeat("x", 101)}}, code: "import.invalid_mapping"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.m.Validate(headers())
			if tt.code == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, tt.code, errs.CodeOf(err))
			require.Equal(t, errs.Invalid, errs.KindOf(err))
		})
	}
}

func TestPlan_Check(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cells  []string
		want   importing.Fault
		column string
	}{
		"a whole row":                   {cells: []string{"9876543210", "Asha", "vip", "Pune"}},
		"a row that ends early":         {cells: []string{"9876543210"}},
		"empty extra cells":             {cells: []string{"9876543210", "Asha", "vip", "Pune", "", " "}},
		"no number":                     {cells: []string{"", "Asha"}, want: importing.FaultEmpty, column: "phone"},
		"a rounded number":              {cells: []string{"9.19E+11", "Asha"}, want: importing.FaultScientific, column: "phone"},
		"a cell too many":               {cells: []string{"9876543210", "Rao", "Asha", "vip", "Pune"}, want: importing.FaultExtraCells, column: "Column 5"},
		"a page of a name":              {cells: []string{"9876543210", strings.Repeat("é", 201)}, want: importing.FaultNameTooLong, column: "name"},
		"two hundred characters fit":    {cells: []string{"9876543210", strings.Repeat("é", 200)}},
		"an endless label":              {cells: []string{"9876543210", "", strings.Repeat("x", 101)}, want: importing.FaultLabelTooLong, column: "tags"},
		"too many labels":               {cells: []string{"9876543210", "", manyLabels(51)}, want: importing.FaultTooManyLabels, column: "tags"},
		"an endless value":              {cells: []string{"9876543210", "", "", strings.Repeat("x", 1001)}, want: importing.FaultValueTooLong, column: "city"},
		"a bad cell beats a bad number": {cells: []string{"", strings.Repeat("x", 201)}, want: importing.FaultNameTooLong, column: "name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plan(t)
			n, fault := p.Check(tt.cells)
			require.Equal(t, tt.want, fault)
			require.Equal(t, fault != importing.NoFault, n.IsZero())
			if fault != importing.NoFault {
				column, value := p.Blame(tt.cells, fault)
				require.Equal(t, tt.column, column)
				re := importing.NewRowError(7, column, value, fault, 0)
				require.NotEmpty(t, re.Text)
				require.Contains(t, re.Code, ".")
				require.NotEqual(t, "row.invalid", re.Code)
			}
		})
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", i+1) + ";")
	}
	return b.String()
}

func TestPlan_Profile(t *testing.T) {
	t.Parallel()
	got := plan(t).Profile([]string{"9876543210", " Asha\u00a0Rao ", "VIP; vip, gold", " "})
	require.Equal(t, importing.Profile{Name: "Asha Rao", Labels: []string{"VIP", "gold", "october"}}, got)
	got = plan(t).Profile([]string{"9876543210", "", "", "Pune"})
	require.Equal(t, importing.Profile{Labels: []string{"october"}, Attributes: map[string]string{"city": "Pune"}}, got)
}

func TestEntry_RoundTrips(t *testing.T) {
	t.Parallel()
	n, err := phone.Parse("+39 06 1234 5678", "")
	require.NoError(t, err)
	e := importing.NewEntry(12, n, importing.NoFault)
	b := e.AppendBinary(nil)
	require.Len(t, b, importing.EntrySize)
	require.Equal(t, e, importing.DecodeEntry(b))
	require.Equal(t, n, importing.DecodeEntry(b).Number())
	bad := importing.NewEntry(13, phone.Number{}, importing.FaultEmpty)
	require.Equal(t, bad, importing.DecodeEntry(bad.AppendBinary(nil)))
	require.True(t, bad.Number().IsZero())
}

func TestMarkDuplicates_TheFirstSoundRowCounts(t *testing.T) {
	t.Parallel()
	numbers := []string{"+919876543210", "+919876543211", "+919876543212"}
	rapid.Check(t, func(t *rapid.T) {
		var entries []importing.Entry
		for i := range rapid.IntRange(0, 30).Draw(t, "rows") {
			fault := rapid.SampledFrom([]importing.Fault{importing.NoFault, importing.NoFault, importing.FaultNameTooLong}).Draw(t, "fault")
			entries = append(entries, importing.NewEntry(i+2, phone.Restore(rapid.SampledFrom(numbers).Draw(t, "number"), "IN"), fault))
		}
		first := map[string]uint32{}
		var want []importing.Entry
		for _, e := range entries {
			if e.Fault == importing.NoFault {
				key := e.Number().String()
				if row, seen := first[key]; seen {
					e.Fault, e.FirstRow = importing.FaultDuplicate, row
				} else {
					first[key] = e.Row
				}
			}
			want = append(want, e)
		}
		importing.MarkDuplicates(entries)
		require.Equal(t, want, entries)
	})
}

func TestInert(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Asha": "Asha", "=1+1": "'=1+1", "+91": "'+91", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "a=b": "a=b",
	} {
		require.Equal(t, want, importing.Inert(in))
	}
}
