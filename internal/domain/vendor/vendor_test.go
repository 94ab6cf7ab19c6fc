package vendor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func TestRole_AtLeast(t *testing.T) {
	t.Parallel()
	order := []vendor.Role{"", vendor.Member, vendor.Admin, vendor.Owner}
	for i, have := range order {
		for j, want := range order[1:] {
			require.Equal(t, i > j, have.AtLeast(want), "%q at least %q", have, want)
		}
		require.Equal(t, i > 0, have.Valid())
	}
	require.False(t, vendor.Role("ROOT").AtLeast(vendor.Member), "an unknown role may do nothing")
}

func TestVendor_Check(t *testing.T) {
	t.Parallel()
	good := vendor.Vendor{Name: "Acme", DefaultRegion: "IN", Currency: "INR", TimeZone: "Asia/Kolkata"}
	require.NoError(t, good.Check())
	tests := map[string]struct {
		change func(*vendor.Vendor)
		code   string
	}{
		"refuses an empty name":        {func(v *vendor.Vendor) { v.Name = "" }, "vendor.name_invalid"},
		"refuses a blank name":         {func(v *vendor.Vendor) { v.Name = "  " }, "vendor.name_invalid"},
		"refuses a name with controls": {func(v *vendor.Vendor) { v.Name = "A\nB" }, "vendor.name_invalid"},
		"refuses a name over 100":      {func(v *vendor.Vendor) { v.Name = strings.Repeat("ü", 101) }, "vendor.name_invalid"},
		"refuses an unknown region":    {func(v *vendor.Vendor) { v.DefaultRegion = "XX" }, "vendor.region_unknown"},
		"refuses a region in words":    {func(v *vendor.Vendor) { v.DefaultRegion = "India" }, "vendor.region_unknown"},
		"refuses a currency in words":  {func(v *vendor.Vendor) { v.Currency = "inr" }, "vendor.currency_unknown"},
		"refuses no time zone":         {func(v *vendor.Vendor) { v.TimeZone = "" }, "vendor.time_zone_unknown"},
		"refuses the machine's zone":   {func(v *vendor.Vendor) { v.TimeZone = "Local" }, "vendor.time_zone_unknown"},
		"refuses a path for a zone":    {func(v *vendor.Vendor) { v.TimeZone = "../../etc/passwd" }, "vendor.time_zone_unknown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := good
			tt.change(&v)
			require.Equal(t, tt.code, errs.CodeOf(v.Check()))
		})
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	require.NoError(t, vendor.CheckPassword("ten chars!", "a@x.example"))
	for _, weak := range []string{"", "short", strings.Repeat("x", 129), "Asha@x.example"} {
		require.Equal(t, "auth.password_weak", errs.CodeOf(vendor.CheckPassword(weak, "asha@x.example")))
	}
}
