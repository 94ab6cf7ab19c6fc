// Package chaos proves the promises of dispatch under harm: on a throw-away stack it
// runs campaigns of several vendors, kills, stops and restarts every process and server
// by a schedule that follows from a seed, lets the simulator lose answers and refuse,
// waits for quiet, and then holds what Meta accepted against what the database, the
// ledger and Temporal say. `make chaos` runs it.
package chaos
