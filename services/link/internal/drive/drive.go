// Package drive puts recipients' copies into Google Drive, each link in a folder of its own that one person may read.
//
// What it guarantees:
//   - Everything is made under ids that Drive handed out and the caller recorded before. Whatever is repeated, after a
//     crash, a lost answer or a refusal that was none, finds what is there: no file, folder or permission is made twice.
//   - Only the one person is let in, as a reader, by address, without a mail from Google; never "anyone", nobody's
//     domain. That is looked up before and after. Where the folder turns out to be open to others, all is removed.
//   - Nobody is let in before every copy is there, and each copy's bytes were hashed before they went out. Readers can
//     neither copy nor download nor print (copyRequiresWriterPermission).
//   - What cannot succeed is not repeated. What can is, with pauses that grow and as late as Google asks, a bounded
//     number of times; after that the fault says when the task should be.
package drive

// A Folder is a link's copies as they lie in Drive. Its ids were handed out by Drive and recorded before anything was
// created under them, so that whatever is repeated is repeated under the same ids.
type Folder struct {
	Production string
	ID         string
	// Name is what the person sees, cleaned of what no name should have.
	Name string
	// Email is the one person who may read it.
	Email string
	Files []File
}

// A File is one copy.
type File struct {
	ID        string
	Name      string
	Key       string // of its bytes in the blob store
	SHA256    string
	Size      int64
	MediaType string
}
