// Package watermark makes each recipient's own copy of a document or picture: the whole source written anew, with the
// recipient's mark on every page, locked by a password of the recipient's when asked.
//
// # How
//
// A source is read once, in a confined child process, and becomes a template, which all replicas share under tpl/ in the
// store. A copy is made of the template without another look at the source: it costs about what its bytes cost to hash
// and to encrypt. Copies of one source may be made by any number of replicas at the same time.
//
// # What it promises
//
//   - A copy is one revision of what the source's pages lead to. Scripts, attachments, multimedia, metadata, earlier
//     revisions and removed pages do not get into it, and actions that start, fetch or send something are taken out.
//     Text, links, outlines, tags, form fields, page labels and layers are kept.
//   - The mark is on top of every page as outlines, fitted to what is visible of the page, without layer, annotation or
//     tag; and it is woven into the page's own content at several places, by several kinds of operators, so that no page
//     depends on one of them. Opaque annotations carry it as well. A character that no font has is a refusal, never a
//     box.
//   - Before the first copy with a mark of that kind, independent programs read one, and every page is rendered with and
//     without the mark: it shows, and text beneath it stays legible. Where the mark does not show it is made stronger;
//     where that does not help the source is refused, by a code and with the pages' numbers. Prepare does that before
//     anything is sent.
//   - One copy in 200, always the same ones, is read by independent programs before it is stored. An unsound one is not
//     stored, and no more copies of its source are made by any replica until somebody has looked (COPY_UNSOUND).
//   - Every page carries, out of sight, an id that leads to the item and its recipient, which nobody can forge who has
//     not the key ring. Tracer reads it from what came of a copy; package hidden says how it is written.
//   - The same request gives the same bytes under the same key, encrypted or not, on every replica and architecture: all
//     that is random in a copy is derived from the key ring and the request. Two requests that differ in anything give
//     two copies.
//   - A locked copy has a key of its own (AES-256, revision 6). One recipient's copies show that they have the same
//     password, two recipients' do not, even if they have.
//   - A production that does not have a file gets no copy of it, although another production's template is there. A
//     source that opens without a password but restricts printing or copying is taken only for productions that say so.
//   - What strangers made is read in a confined child process only. What exceeds its limits is refused for good, with a
//     stable code, and harms nobody else; what this machine or the store could not do just now is told apart and is tried
//     again, and leaves nothing half-written.
//
// PNG and JPEG pictures go the same way: the visible mark, fitted to the picture, and the id in a chunk or comment beside
// the pixels. Pixels that the mark does not touch stay as they are.
//
// # What it does not promise
//
//   - Whoever writes a program against this very format, or retypes the text, gets rid of the mark. So does comparing two
//     people's copies. Package removal says which attacks fail, and measures those that do not.
//   - A picture's id goes with the first program that saves it anew; its mark is all that then tells whose it was. A
//     picture cannot be locked (PASSWORD_UNSUPPORTED).
//   - PostScript turns transparent marks into pictures. The id survives that way with an opaque mark only.
//   - Signatures of a source lose their value, as in any rewriting, and Prepare says so. Restrictions of a source that is
//     taken in spite of them are not in its copies.
//   - A call that ends with its context leaves reading and rendering to go on, within their limits: the next one finds the
//     result. A sampled copy's proof ends with its call.
//   - Copies that were stored before COPY_UNSOUND was found stay where they are.
package watermark
