package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// UserMailInput names whom to write to. It lives in histories: add fields, never rename one.
type UserMailInput struct {
	Vendor vendor.ID     `json:"vendor"`
	User   vendor.UserID `json:"user"`
}

// userMailPatience is how long a mail server may be away. After a day the user has asked
// for another mail, or has gone.
const userMailPatience = 24 * time.Hour

// UserMail writes the mail that verifies a user's address.
func UserMail(ctx workflow.Context, in UserMailInput) error {
	var mail *activities.Mail // nil: only its method names are used
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              QueueCore,
		StartToCloseTimeout:    time.Minute, // the sender gives up after half of it
		ScheduleToCloseTimeout: userMailPatience,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Minute},
		Summary:                "verification mail",
	})
	return workflow.ExecuteActivity(ctx, mail.SendVerification, activities.UserRef{Vendor: in.Vendor, User: in.User}).Get(ctx, nil)
}
