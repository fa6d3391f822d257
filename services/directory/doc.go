// Package directory keeps what is there before anybody sends anything: productions, API tokens, who is signed in to the
// console, people and lists of them, source documents, the devices on which people want to be notified, and other systems'
// secrets. It tells recipients' passwords to those
// who may know them.
//
// It promises:
//   - Of every document there is one copy for each SHA-256 and production, whole: bytes are written under a temporary
//     key, hashed on the way, and get their final key once the last one came. An upload that breaks off or is too
//     large leaves nothing; what a crash leaves is removed an hour later.
//   - A document is recorded only once its bytes are stored, and answers to Upload only once it is recorded.
//   - A production that a caller may not act in is answered word for word like one that does not exist. The check is
//     made by the interceptor and, apart from it, by the store.
//   - Of a token the SHA-256 is kept, nothing else; a revoked one is refused from that moment on, and for good.
//   - Of a sign-in code and of a session the SHA-256 is kept, too. A code signs one browser in, however many try at once, and
//     goes after SignIns.SignInValid; a session ends when it was not used for SessionIdle, after SessionLife in any case, and
//     at once when it is signed out of or revoked.
//   - Of an address there is one person in a production, whoever adds and imports at once. Of two who edit one revision of a
//     person or a list one is let, and the other told.
//   - A device is one person's, by their e-mail address without regard to case, in each production. Its registration
//     token is kept sealed under the key ring and told to services only.
//   - A credential's secret is kept sealed under the key ring, told to services only, and to nobody without a line in the
//     audit that says to whom. When the ring gets another active key, what was sealed under the one before still opens.
//   - No password is told unless it was recorded who asked, when, and for whom.
//
// It does not promise that a document was inspected: the inspection starts with the upload and is best effort. Until it
// ended, or if this process died before, the verdict is "unknown", and the step prepare of a distribution finds out.
package directory
