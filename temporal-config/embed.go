// Package temporalconfig holds what a Temporal server needs to run the product: its namespace and
// search attributes, dynamic configuration and the configuration of a self-hosted cluster, as data
// files, and the code that applies the first of them.
package temporalconfig

import (
	"embed"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed namespace.yaml dynamicconfig
var files embed.FS

// Namespace is the content of namespace.yaml.
type Namespace struct {
	Name             string            `yaml:"namespace"`
	Description      string            `yaml:"description"`
	Retention        time.Duration     `yaml:"retention"`
	SearchAttributes map[string]string `yaml:"search_attributes"` // name → type as the CLI spells it
}

// LoadNamespace reads the embedded namespace.yaml.
func LoadNamespace() (Namespace, error) {
	var n Namespace
	raw, err := files.ReadFile("namespace.yaml")
	if err != nil {
		return n, fmt.Errorf("temporal namespace: %w", err)
	}
	if err := yaml.Unmarshal(raw, &n); err != nil {
		return n, fmt.Errorf("temporal namespace: %w", err)
	}
	return n, nil
}

// DynamicConfig returns the unconstrained values of dynamicconfig/<name>.yaml by key.
func DynamicConfig(name string) (map[string]any, error) {
	raw, err := files.ReadFile("dynamicconfig/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("temporal dynamic config: %w", err)
	}
	var entries map[string][]struct {
		Value       any            `yaml:"value"`
		Constraints map[string]any `yaml:"constraints"`
	}
	if err := yaml.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("temporal dynamic config %s: %w", name, err)
	}
	values := map[string]any{}
	for key, list := range entries {
		for _, e := range list {
			if len(e.Constraints) == 0 {
				values[key] = e.Value
			}
		}
	}
	return values, nil
}
