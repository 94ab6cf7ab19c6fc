// Package vendor holds the tenant's identity and the rules that depend on nothing else.
package vendor

import (
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a vendor (tenant): a UUID in canonical text form. The zero value names nobody.
type ID string

// UserID names a user of a vendor.
type UserID string

// ErrNotFound is the answer for absent and for not yours alike.
var ErrNotFound = errs.New(errs.NotFound, "vendor.not_found", "no such vendor")

// Role is what a user may do inside a vendor.
type Role string

// The roles: OWNER may do everything, ADMIN everything but hand over the vendor,
// MEMBER all but money and users.
const (
	Owner  Role = "OWNER"
	Admin  Role = "ADMIN"
	Member Role = "MEMBER"
)

// Status of a vendor.
type Status string

// The states of a vendor.
const (
	Active    Status = "ACTIVE"
	Suspended Status = "SUSPENDED"
	Closed    Status = "CLOSED"
)
