// Package readside is the read side of the orchestrator's records: a documented, versioned contract for whoever looks and
// never schedules. It is the only way in which another service reads them.
//
// What it reads is said in protos (distribution.v1, definition.v1, control.v1, schedule.v1), by the methods of the same names
// and with the same answers and faults as the orchestrator's own; beside them are Beats (which orchestrators are there),
// Changes (who changed, as a stream with positions), Unended, UnendedAfter and Ended. Events that are archived are not in the records any more
// (ListEvents is EVENTS_ARCHIVED then); LastEvent says up to which, Kept which ended distributions have any left.
//
// It promises:
//   - nothing is written: a Redis user who may only read is enough, and so is a replica;
//   - no orchestrator is asked: answers come while all of them are gone;
//   - what it does not understand it refuses: the records carry their version (field "schema" of {0}:meta, read when they are
//     opened), and another one than Version is a fault RECORDS_VERSION. The version grows when a field changes its
//     meaning, not when one is added;
//   - with a replica, reads go there first; they go to the primary when the replica does not answer, does not know what is
//     asked for, or is cut off from its primary. When no primary answers either, a replica that is cut off is better than
//     nothing, and State says so.
//
// It does not promise that two reads are of one instant, nor that a replica knows what the primary answered a moment ago. A
// distribution's summary is of one instant.
//
// A caller is checked as by the orchestrator: ctx must carry the principal (pkg/rpc) where a method depends on it. Productions
// are the caller's to check before.
package readside
