// Package push is the function service "push.Send": it tells the devices of one recipient that something has arrived.
//
// What it guarantees:
//   - A notification has a title, a text and the distribution's id, and nothing else: no link token and no password ever
//     comes near it.
//   - Its collapse key belongs to the delivery: it is the same on each attempt, on every replica, so a repeat replaces
//     what a device shows already.
//   - worker.Checkpoint("push") is asked before the first device is told. A task that is fenced or cancelled by then
//     tells none.
//   - A device that the sender says is gone is removed from the directory. One that the sender refuses for another
//     reason stays: a wrong configuration must not empty the directory.
//   - The outcome is one of: all were told that could be; none could be, for good (PUSH_REJECTED, PUSH_NOT_CONFIGURED);
//     some have to be told later (PUSH_THROTTLED, PUSH_UNAVAILABLE, PUSH_AUTH), and then a repeat tells all again.
//
// What it does not: that anybody sees it. It keeps no state besides connections and an access token.
package push
