package temporalconfig_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/kloyst/kloyst-core/internal/testkit/temporaltest"
	temporalconfig "github.com/kloyst/kloyst-core/temporal-config"
)

func TestLoadNamespace_HasWhatTheWorkflowsSet(t *testing.T) {
	t.Parallel()
	n, err := temporalconfig.LoadNamespace()
	require.NoError(t, err)
	require.Equal(t, "kloyst", n.Name)
	require.Equal(t, 7*24*time.Hour, n.Retention)
	require.Equal(t, map[string]string{
		"VendorId": "KeywordList", "CampaignId": "Keyword", "ImportId": "Keyword", "JobStatus": "Keyword",
		"WaitReason": "Keyword",
	}, n.SearchAttributes)
}

func TestDynamicConfig_EveryFileIsReadable(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("dynamicconfig/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := filepath.Base(file)
		values, err := temporalconfig.DynamicConfig(name[:len(name)-len(".yaml")])
		require.NoError(t, err, file)
		require.Equal(t, true, values["matching.useNewMatcher"], file)
	}
	_, err = temporalconfig.DynamicConfig("none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBootstrap_MayBeRunAgain(t *testing.T) {
	t.Parallel()
	c, suffix := temporaltest.New(t)
	opts := temporaltest.Options(t)
	n := temporalconfig.Namespace{
		Name: "bootstrap-" + suffix, Retention: 24 * time.Hour, SearchAttributes: map[string]string{"VendorId": "KeywordList"},
	}
	require.ErrorContains(t, temporalconfig.Check(t.Context(), opts, n), n.Name)
	require.NoError(t, temporalconfig.Bootstrap(t.Context(), opts, n))
	require.NoError(t, temporalconfig.Bootstrap(t.Context(), opts, n), "with nothing to do")
	require.NoError(t, temporalconfig.Check(t.Context(), opts, n))

	n.SearchAttributes["JobStatus"] = "Keyword"
	require.ErrorContains(t, temporalconfig.Check(t.Context(), opts, n), "missing: [JobStatus]")
	n.Retention = 72 * time.Hour
	require.ErrorContains(t, temporalconfig.Check(t.Context(), opts, n), "24h0m0s, not for 72h0m0s")
	require.NoError(t, temporalconfig.Bootstrap(t.Context(), opts, n), "with something added")
	have, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: n.Name})
	require.NoError(t, err)
	require.Equal(t, enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, have.GetCustomAttributes()["VendorId"])
	require.Equal(t, enumspb.INDEXED_VALUE_TYPE_KEYWORD, have.GetCustomAttributes()["JobStatus"])
	nc, err := client.NewNamespaceClient(opts)
	require.NoError(t, err)
	defer nc.Close()
	got, err := nc.Describe(t.Context(), n.Name)
	require.NoError(t, err)
	require.Equal(t, n.Retention, got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())

	n.SearchAttributes["JobStatus"] = "Int"
	require.ErrorContains(t, temporalconfig.Bootstrap(t.Context(), opts, n), "JobStatus exists as Keyword, not as Int")
}
