package message

import "github.com/kloyst/kloyst-core/internal/errs"

// ErrNotFound says that a message does not exist, or is another vendor's.
var ErrNotFound = errs.New(errs.NotFound, "message.not_found", "no such message")
