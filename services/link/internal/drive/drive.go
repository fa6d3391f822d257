// Package drive puts recipients' copies into Google Drive, each link in a folder of its own that one person may read.
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
