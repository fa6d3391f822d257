// Package watermark makes each recipient's own copy of a document: the whole source written anew, with the recipient's
// mark on top of every page, locked by a password of the recipient's when asked.
//
// What it guarantees:
//   - a copy is one revision of what the source's pages lead to. Scripts, attachments, multimedia, metadata, earlier
//     revisions and removed pages do not get into it, and actions that start, fetch or send something are taken out;
//   - the mark is drawn last in each page's own content, fitted to what is visible of it, without layer, annotation or
//     tag; a character that cannot be drawn is a refusal, never a box;
//   - the same request gives the same bytes under the same key, encrypted or not: all that is random in a copy is
//     derived from the key ring and the request;
//   - PDFs are read in a confined child process only; what exceeds its limits is refused for good, with a stable code,
//     and harms nobody else.
//
// What it does not: annotations and form fields paint after a page's content, so an opaque one covers what of the mark
// lies beneath it; the mark sits in one place of each page's content, so that an editor who sets out to remove it can;
// signatures of a source lose their value, as in any rewriting, and Prepare says so.
package watermark
