// Package link makes the links by which recipients fetch their copies, takes them back, and is the public face at which
// recipients use them: pages that need no script, a reader that does, and the same as JSON for apps.
//
// What it guarantees:
//   - A link's token has 256 bits, is the same on every retry, and is stored nowhere: Redis knows its SHA-256, Urls
//     derives it anew. A link belongs to one person of one distribution of one production, for ever.
//   - GET, HEAD and OPTIONS change nothing a person would notice: an automated open is counted apart. Only the POST of the
//     landing page's button opens a session, and only that counts as viewed; a download is a GET of a file in a session.
//   - Nothing is cached: every request asks Redis whether the link and its distribution still hold, so a revocation holds
//     on every instance with the next request, and a transfer under way is cut within seconds, also when Redis is silent.
//   - Unknown, malformed and foreign addresses are answered alike; who guesses is slowed down by address.
//   - Every answer, errors included, forbids framing, sniffing, indexing and referrers, and caching unless it is one of the
//     reader's own files, which are the same for everybody; it lets a page load nothing but its own style and its own
//     pictures, and the reader, besides, its own script and the document.
//   - Create, Revoke and what they do in Google Drive may be repeated after any crash and end in the same state. A revoked
//     link never comes back.
//
// What it does not: that somebody who has fetched a copy does not pass it on, or passes on the link itself. Both show
// the recipient's own mark. Of who opens links it keeps kind, time and verdict, neither address nor device.
package link
