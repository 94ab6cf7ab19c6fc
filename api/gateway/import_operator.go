package gateway

import (
	"context"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/store"
)

type retryImportInput struct {
	httpx.ByID
	Body struct {
		Mode importing.RetryMode `json:"mode" enum:"resume,skip_chunk,restart" doc:"resume: try again what failed. skip_chunk: count the rows of the parts that failed as invalid and go on. restart: check the file from its beginning and do every part that is not done"`
	}
}

// retry keeps the operator's word on a parked import; its workflow is rung for.
func (h *imports) retry(ctx context.Context, who httpx.Principal, in *retryImportInput) (*httpx.Reply[importBody], error) {
	key, err := httpx.ID[importing.ID](in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.store.RetryImport(ctx, who.Vendor, key, in.Body.Mode); err != nil {
		return nil, err
	}
	return h.read(ctx, who, key)
}

// abort gives a parked import up; what its finished parts wrote stays.
func (h *imports) abort(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[importBody], error) {
	key, err := httpx.ID[importing.ID](in.ID)
	if err != nil {
		return nil, err
	}
	why := store.Reason{Code: "import.aborted", Text: "given up through the API"}
	if err := h.store.AbortImport(ctx, who.Vendor, key, why); err != nil {
		return nil, err
	}
	return h.read(ctx, who, key)
}
