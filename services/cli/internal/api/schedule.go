package api

import (
	"context"
	"encoding/json"
	"net/http"

	schedulev1 "github.com/filigreehq/filigree/proto/gen/filigree/schedule/v1"
)

// PutSchedule makes a schedule, or changes it.
func (c *Client) PutSchedule(ctx context.Context, production string, s *schedulev1.Schedule) (*schedulev1.Schedule, json.RawMessage, error) {
	return settle(ctx, c, http.MethodPut, join("productions", production, "schedules", s.GetName()),
		&schedulev1.PutScheduleRequest{Schedule: s}, &schedulev1.Schedule{})
}

// Schedules lists a production's schedules.
func (c *Client) Schedules(ctx context.Context, production string) ([]*schedulev1.Schedule, []json.RawMessage, error) {
	return whole(ctx, c, join("productions", production, "schedules"), "schedules", func() *schedulev1.Schedule { return &schedulev1.Schedule{} })
}

// DeleteSchedule ends a schedule; what it started goes on.
func (c *Client) DeleteSchedule(ctx context.Context, production, name string) error {
	return c.remove(ctx, join("productions", production, "schedules", name))
}

// PutHook makes an inbound webhook, or changes it, or gives it a new secret. It is not repeated: the answer is the only one
// that has the secret.
func (c *Client) PutHook(ctx context.Context, production string, h *schedulev1.Hook, rotate bool) (*schedulev1.PutHookResponse, json.RawMessage, error) {
	answer := &schedulev1.PutHookResponse{}
	body, err := marshal(&schedulev1.PutHookRequest{Hook: h, Rotate: rotate})
	if err != nil {
		return nil, nil, err
	}
	data, err := c.do(ctx, call{method: http.MethodPut, path: join("productions", production, "hooks", h.GetName()), json: body})
	return answer, data, decode(data, err, answer)
}

// Hooks lists a production's inbound webhooks.
func (c *Client) Hooks(ctx context.Context, production string) ([]*schedulev1.Hook, []json.RawMessage, error) {
	return whole(ctx, c, join("productions", production, "hooks"), "hooks", func() *schedulev1.Hook { return &schedulev1.Hook{} })
}

// DeleteHook ends an inbound webhook.
func (c *Client) DeleteHook(ctx context.Context, production, name string) error {
	return c.remove(ctx, join("productions", production, "hooks", name))
}
