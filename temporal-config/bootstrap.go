package temporalconfig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	if err := awaitNamespace(ctx, func() error { return ensureAttributes(ctx, c, n) }); err != nil {
		return fmt.Errorf("temporal search attributes: %w", err)
	}
	return awaitQueries(ctx, c, n)
}

// Check tells what Bootstrap would have to do, as an error; nil means nothing. It changes nothing.
// The namespace of opts is ignored.
func Check(ctx context.Context, opts client.Options, n Namespace) error {
	opts.Namespace = n.Name
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	defer c.Close()
	ns, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: n.Name})
	if err != nil {
		return fmt.Errorf("temporal namespace %s: %w", n.Name, err)
	}
	if got := ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != n.Retention {
		return fmt.Errorf("temporal namespace %s keeps workflows for %s, not for %s", n.Name, got, n.Retention)
	}
	missing, err := missingAttributes(ctx, c, n)
	if err != nil {
		return fmt.Errorf("temporal search attributes: %w", err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("temporal search attributes are missing: %v", slices.Sorted(maps.Keys(missing)))
	}
	return nil
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

// missingAttributes are those of n that its namespace lacks.
func missingAttributes(ctx context.Context, c client.Client, n Namespace) (map[string]enumspb.IndexedValueType, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: n.Name})
	if err != nil {
		return nil, err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, typ := range n.SearchAttributes {
		want, err := enumspb.IndexedValueTypeFromString(typ)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		got, ok := have.GetCustomAttributes()[name]
		if ok && got != want {
			return nil, fmt.Errorf("%s exists as %s, not as %s", name, got, want)
		}
		if !ok {
			missing[name] = want
		}
	}
	return missing, nil
}

func ensureAttributes(ctx context.Context, c client.Client, n Namespace) error {
	missing, err := missingAttributes(ctx, c, n)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: n.Name, SearchAttributes: missing})
	if _, exists := errors.AsType[*serviceerror.AlreadyExists](err); exists {
		return nil // made by another bootstrap at the same time
	}
	return err
}

// awaitNamespace calls f until it does not miss the namespace. The frontend remembers for some
// seconds that a namespace was not there, if somebody asked before it was made.
func awaitNamespace(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		if _, missing := errors.AsType[*serviceerror.NamespaceNotFound](err); !missing || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
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
