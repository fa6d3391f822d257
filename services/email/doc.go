// Package email is the function service "email.Send": it composes the e-mail that brings one recipient their documents
// and hands it to a mail server, or to Amazon SES.
//
// What it guarantees:
//   - One message has one recipient, and carries the documents asked for, byte for byte: each is hashed while it goes
//     out, and one that is not what was announced stops the message before it is one.
//   - The Message-ID belongs to the delivery: it is the same on each attempt, on every replica.
//   - worker.Checkpoint("dot") is asked after the whole message was written, right before the final dot that makes the
//     server take it. A task that is fenced or cancelled by then sends nothing.
//   - The outcome is one of: accepted; definitely not accepted, for good or for now; uncertain (EMAIL_UNCERTAIN), only
//     when the dot went out and no proper answer came. A message that follows an attempt whose outcome nobody knows has
//     the header X-Filigree-Attempt, and the response says maybe_duplicate.
//   - Whatever people typed into names, subjects and texts, the message has only the headers, recipient and parts that
//     were meant.
//
// What it does not: that nobody ever gets a message twice. SMTP has no way to ask whether the last one was taken.
//
// With Amazon SES the final dot is the request that hands the complete message over, and a request without an answer is
// uncertain. SES gives each message a Message-ID of its own in place of ours; it is in the reply.
//
// It keeps no state besides its connections. Passwords of documents never come near it.
package email
