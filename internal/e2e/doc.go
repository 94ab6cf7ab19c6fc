// Package e2e is the black box: it runs every mode as a process against real servers
// and looks at what comes out. It needs the programs that `make setup build` puts into
// .stack/bin, and starts a stack of its own in a temporary folder.
package e2e
