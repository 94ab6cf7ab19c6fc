package temporalconfig

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Bootstrap makes the namespace and its search attributes on the server that opts name, where they
// are missing, and returns when queries by them work. It may be run any number of times. The
// namespace of opts is ignored.
//
// A search attribute that exists with another type is an error: its type cannot be changed.
func Bootstrap(ctx context.Context, opts client.Options, n Namespace) error {
	opts.Namespace = n.Name
	if err := ensureNamespace(ctx, opts, n); err != nil {
		return fmt.Errorf("temporal namespace %s: %w", n.Name, err)
	}
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return fmt.Errorf("temporal bootstrap: %w", err)
	}
	defer c.Close()
	if err := ensureAttributes(ctx, c, n); err != nil {
		return fmt.Errorf("temporal search attributes: %w", err)
	}
	return awaitQueries(ctx, c, n)
}

func ensureNamespace(ctx context.Context, opts client.Options, n Namespace) error {
	nc, err := client.NewNamespaceClient(opts)
	if err != nil {
		return err
	}
	defer nc.Close()
	err = nc.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: n.Name, Description: n.Description,
		WorkflowExecutionRetentionPeriod: durationpb.New(n.Retention),
	})
	if _, exists := errors.AsType[*serviceerror.NamespaceAlreadyExists](err); !exists {
		return err
	}
	got, err := nc.Describe(ctx, n.Name)
	if err != nil {
		return err
	}
	if got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == n.Retention {
		return nil
	}
	return nc.Update(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: n.Name,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(n.Retention)},
	})
}

func ensureAttributes(ctx context.Context, c client.Client, n Namespace) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: n.Name})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, typ := range n.SearchAttributes {
		want, err := enumspb.IndexedValueTypeFromString(typ)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		got, ok := have.GetCustomAttributes()[name]
		if ok && got != want {
			return fmt.Errorf("%s exists as %s, not as %s", name, got, want)
		}
		if !ok {
			missing[name] = want
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: n.Name, SearchAttributes: missing})
	if _, exists := errors.AsType[*serviceerror.AlreadyExists](err); exists {
		return nil // made by another bootstrap at the same time
	}
	return err
}

// awaitQueries waits until the frontend knows the attributes: it learns of new ones only when its
// cache is refreshed, and until then refuses workflows that carry them.
func awaitQueries(ctx context.Context, c client.Client, n Namespace) error {
	for name := range n.SearchAttributes {
		query := fmt.Sprintf("%s = 'none'", name)
		for {
			_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: n.Name, Query: query,
			})
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("temporal search attribute %s is not visible yet: %w", name, err)
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}
