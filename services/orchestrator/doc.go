// Package orchestrator accepts distributions, lays out their steps, hands them to workers and applies what comes back.
//
// It promises:
//   - what CreateDistribution has answered is never lost, and the same idempotency key never makes a second one;
//   - a step is with one worker at a time, enters one final state once, and what waits for it moves in the same
//     transition: joins fire exactly once;
//   - any replica serves any call, and killing any of them at any time costs at most a lease (10 s), never an item;
//   - each run of a schedule, and each id that a webhook is called with, starts one distribution;
//   - a step that acts on the outside is told "go on" only while its lease holds and its distribution is not cancelled.
//
// It does not promise that a step runs only once: a worker may die after it acted and before it said so. Steps are
// idempotent by key; for e-mail, which cannot be, the production's policy decides (send again flagged, or hold).
//
// Deciding is apart from doing: package plan (pure) says what follows from what, package store applies it in Redis,
// this package translates between them and the protos.
package orchestrator
