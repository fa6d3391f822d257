// Package observer answers what became of things, and why: status, search, stories, alerts, history. It reads records and
// events and never schedules.
//
// It promises:
//   - it answers while no orchestrator does, from the records (package readside), and says so in each answer (Freshness);
//   - nothing waits for it: without an observer distributions go on, and afterwards nothing is missing, since all that it
//     keeps is made anew from records, events and archive;
//   - it deletes nothing that Config.Keep… does not tell it to: log lines, copies and archives, when their time is over;
//   - of productions that a caller may not act in they hear nothing, as if these did not exist;
//   - what it does about something (retry, pause, cancel, start) it asks the orchestrator for, as anybody else.
//
// Its index, in the folder of Config.Data, is its own and may be deleted. What must be the same for all observers (rules,
// alerts, positions, runs that were reported) is in Redis under {obs}:.
package observer
