package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/workflows"
)

// running is a campaign whose workflow has come to wait for its end.
func running(t *testing.T, change func(now time.Time, s *activities.CampaignState)) dispatching {
	t.Helper()
	d := newDispatching(t)
	state := at(campaign.Running)
	change(d.Now(), &state)
	d.says(state)
	return d
}

func TestCampaignDispatch_EndsWhatHasNotLeftAtItsEnd(t *testing.T) {
	t.Parallel()
	d := running(t, func(now time.Time, s *activities.CampaignState) { s.ExpiresAt = now.Add(72 * time.Hour) })
	began := d.Now()
	d.says(at(campaign.Completed))
	require.Equal(t, campaign.Completed, d.run(t).Status)
	require.Equal(t, 72*time.Hour, d.Now().Sub(began).Round(time.Minute))
}

// What was in flight at the end comes back after it: the campaign is looked at again.
func TestCampaignDispatch_LooksAgainAfterItsEnd(t *testing.T) {
	t.Parallel()
	var end time.Time
	d := running(t, func(now time.Time, s *activities.CampaignState) {
		end = now.Add(time.Hour)
		s.ExpiresAt = end
	})
	past := at(campaign.Halted)
	past.ExpiresAt = end
	d.says(past, at(campaign.Completed))
	d.run(t)
	require.Equal(t, 5*time.Minute, d.Now().Sub(end).Round(time.Minute))
}

func TestCampaignDispatch_AHaltEndsByTheClock(t *testing.T) {
	t.Parallel()
	d := running(t, func(now time.Time, s *activities.CampaignState) {
		s.Status, s.HaltReason, s.HaltUntil, s.ExpiresAt = campaign.Halted, "META_TEMPLATE_PAUSED", now.Add(3*time.Hour), now.Add(72*time.Hour)
	})
	began := d.Now()
	d.says(at(campaign.Completed))
	d.run(t)
	require.Equal(t, 3*time.Hour, d.Now().Sub(began).Round(time.Minute))
}

func TestCampaignDispatch_SaysThatItsMessagesWait(t *testing.T) {
	t.Parallel()
	d := running(t, func(now time.Time, s *activities.CampaignState) { s.RestsTill = now.Add(24 * time.Hour) })
	var told []string
	d.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Run(func(args mock.Arguments) {
		attrs, _ := args.Get(0).(temporal.SearchAttributes)
		reason, _ := attrs.GetKeyword(workflows.WaitReasonKey)
		told = append(told, reason)
	})
	d.says(at(campaign.Completed))
	d.run(t)
	require.Equal(t, []string{workflows.WaitRetryLater, ""}, told)
}
