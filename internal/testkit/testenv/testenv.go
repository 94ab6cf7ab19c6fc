// Package testenv finds the real servers that tests run against.
package testenv

import (
	"os"
	"testing"
)

// Get returns the variable of that name and fails the test, saying what to run, without one. With
// -short, which runs what needs no servers, the test is left out.
func Get(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real servers")
	}
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: this test needs real servers. Run `make test`, or one package with\n"+
			"\t.stack/bin/kloyst dev exec --only postgres,redis,temporal -- go test ./the/package\n"+
			"(`make build` first), or `make test-short` for the tests that need none", name)
	}
	return v
}
