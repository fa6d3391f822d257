// Package gateway is the face of Filigree towards client apps, the console and the CLI: REST for every method whose
// proto declares an HTTP rule, uploads, the OpenAPI document and the console's files.
//
// What it guarantees:
//
//   - Every call under /v1, but those by which somebody signs in, carries a token or a session that the directory knows, and
//     goes on as the principal the directory named, never as the gateway itself. Nothing a client sends can become internal
//     metadata: of its headers only Idempotency-Key and X-Request-Id go on, under names of ours.
//   - A browser has its session as a cookie that scripts cannot read, and that works for pages of this origin only; to
//     change something such a page must know the session's CSRF token, too.
//   - A revoked token, or a session that ended, stops working at once where that was said through the same gateway, and
//     within Config.TokenCache otherwise. While the directory does not answer, one that was good here in the half hour
//     before can still read, and one that another gateway ended meanwhile with it.
//   - Every failure, whoever found it, is {"error":{"code","message","retryable"}} with its HTTP status from one table.
//   - Nothing is unbounded: JSON bodies and uploads have a size limit that is enforced while reading, a client that
//     stalls is let go, and an upload is held in memory one piece at a time.
//   - The log holds route patterns, never paths, names, tokens or addresses.
//
// It keeps no state. Whether a caller may do what it asks is decided by the service asked, from the principal.
package gateway
