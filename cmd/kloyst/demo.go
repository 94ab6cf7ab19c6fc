package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/devstack"
)

type demoCmd struct {
	devFolder
	Contacts int `default:"10000" help:"Rows of the contact file."`
}

// Run runs one whole campaign on the running local stack and ends with one JSON line.
func (c demoCmd) Run(ctx context.Context) error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	stack, err := devstack.Load(dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	result, failure := demo.Run(ctx, demo.Options{Stack: stack, Contacts: c.Contacts, Self: self, Out: os.Stdout})
	for _, u := range stack.URLs() {
		fmt.Fprintf(os.Stdout, "demo: %-18s %s\n", u.Name, u.URL)
	}
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, string(line))
	return failure
}
