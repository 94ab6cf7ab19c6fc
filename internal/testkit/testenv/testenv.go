// Package testenv finds the real servers that tests run against.
package testenv

import (
	"os"
	"testing"
)

// Get returns the variable of that name and fails the test, saying what to run, without one. With
// -short, which runs what needs no servers, the test is left out.
func Get(tb testing.TB, name string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs real servers")
	}
	v := os.Getenv(name)
	if v == "" {
		tb.Fatalf("%s is not set: this test needs real servers. Run `make test`, or one package with\n"+
			"\t.stack/bin/kloyst dev exec --only postgres,redis,temporal -- go test ./the/package\n"+
			"(`make build` first), or `make test-short` for the tests that need none", name)
	}
	return v
}
