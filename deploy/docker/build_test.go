package docker_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(raw)
}

func goVersion(t *testing.T, module string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, module))
	require.Len(t, found, 2, module)
	return found[1]
}

func TestDockerfile_BuildsWithTheGoOfEachModule(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	for stage, module := range map[string]string{
		"build": "../../go.mod", "temporal-build": "../../tools/temporal-server/go.mod",
	} {
		require.Contains(t, text, "FROM golang:"+goVersion(t, module)+"-bookworm AS "+stage+"\n")
	}
	require.Contains(t, read(t, "compose.yaml"), "axllent/mailpit:"+
		regexp.MustCompile(`axllent/mailpit (v\S+)`).FindStringSubmatch(read(t, "../../tools/mailpit/go.mod"))[1]+"\n",
		"the mail catcher is that of the tests")
}

func TestDockerfile_WhatIsCopiedIsThere(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	stages := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^FROM \S+ AS (\S+)$`).FindAllStringSubmatch(text, -1) {
		stages[found[1]] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^COPY (.*) \S+$`).FindAllStringSubmatch(text, -1) {
		if from, ok := strings.CutPrefix(found[1], "--from="); ok {
			stage, _, _ := strings.Cut(from, " ")
			require.True(t, stages[stage], stage)
			continue
		}
		for file := range strings.FieldsSeq(found[1]) {
			_, err := os.Stat("../../" + file)
			require.NoError(t, err)
		}
	}
	for _, s := range parse(t, source(t)).Services {
		if s.Build.Context != "" {
			require.Equal(t, "../..", s.Build.Context)
			require.Equal(t, "deploy/docker/Dockerfile", s.Build.Dockerfile)
			require.True(t, stages[s.Build.Target], s.Build.Target)
		}
	}
	require.Regexp(t, `(?s)USER 10001:10001\n.*ENTRYPOINT \["/usr/local/bin/kloyst"\]\n$`, text, "the last stage is the product, not as root")
}

func TestDockerignore_KeepsSecretsOut(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, "../../.dockerignore"), "\n")
	for _, want := range []string{".git", ".stack", "**/.env"} {
		require.Contains(t, lines, want)
	}
	for _, line := range lines {
		require.False(t, strings.HasPrefix(line, "!"), "nothing is let in again")
	}
	require.Contains(t, strings.Split(read(t, "../../.gitignore"), "\n"), "/deploy/docker/.env")
}
