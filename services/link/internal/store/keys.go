package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Every key of link is spelled here. Each has the hash tag {l:<first two of its hash>}: a link's record and all that
// hangs on it share the tag of the token's hash; the way from a link's id and from a distribution lies under theirs.

func tag(hash string) string { return "{l:" + hash[:2] + "}:" }

// linkKey: hash id, production, distribution, mode, generation, key, person, digest, documents, created, expires,
// revoked, first_viewed, first_downloaded, views, downloads, opens_machine, opens_unknown. With revoked alone it says
// that no such link may be made.
func linkKey(hash string) string { return tag(hash) + "link:" + hash }

// contentKey: JSON of Content.
func contentKey(hash string) string { return tag(hash) + "content:" + hash }

// driveKey: JSON of Drive, of a link that lies there.
func driveKey(hash string) string { return tag(hash) + "drive:" + hash }

// accessKey: stream kind, verdict; capped.
func accessKey(hash string) string { return tag(hash) + "access:" + hash }

// sessionKey: hash link, secret, expires. A session's id begins with the two that make its link's tag.
func sessionKey(id string) string { return tag(id) + "session:" + id }

// sessionsKey: sorted set of the link's sessions by their end.
func sessionsKey(hash string) string { return tag(hash) + "sessions:" + hash }

// indexKey: hash hash, key, generation, distribution, revoked; of the link with this id.
func indexKey(production, link string) string {
	h := digest("link", production, link)
	return tag(h) + "id:" + h
}

// markerKey: when the distribution's links were revoked, those to come included.
func markerKey(production, distribution string) string {
	h := digest("distribution", production, distribution)
	return tag(h) + "revoked:" + h
}

// membersKey: sorted set of the hashes of the distribution's links, all of score 0.
func membersKey(production, distribution string) string {
	h := digest("distribution", production, distribution)
	return tag(h) + "links:" + h
}

// digest is the SHA-256 of parts, none of which can run into the next, in lower-case hexadecimal.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
