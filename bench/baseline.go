package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// printBaseline prints the lines of another program's bench after ours, each marked as such: what
// is compared was measured on the same machine, and the file says when.
func printBaseline(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		line := map[string]json.RawMessage{}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
		line["baseline"] = json.RawMessage("true")
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
