package pdf_test

import "flag"

// samples is a folder to leave the documents in: go test ./internal/pdf -samples /tmp/x.
var samples = flag.String("samples", "", "folder to keep the documents in")
