package store

// Every key of directory is spelled here. What belongs to a production shares its hash tag, the rest shares {dir}.

// productionKey: hash name, created, open_restricted.
func productionKey(production string) string { return "{p:" + production + "}:production" }

// fileKey: hash name, size, created, seq, verdict, pages, error_code, error_message, notes, open.
func fileKey(production, sha256 string) string { return "{p:" + production + "}:file:" + sha256 }

// filesKey: sorted set of the production's files, in the order in which they came.
func filesKey(production string) string { return "{p:" + production + "}:files" }

// fileSeqKey: counter of the production's files, the score in filesKey.
func fileSeqKey(production string) string { return "{p:" + production + "}:files:seq" }

// deviceKey: hash person, email, platform, token (sealed), registered.
func deviceKey(production, device string) string { return "{p:" + production + "}:device:" + device }

// devicesKey: sorted set of a person's devices, by when they were refreshed last.
func devicesKey(production, person string) string { return "{p:" + production + "}:devices:" + person }

// personKey: hash name, email, address (as it is compared, hashed), fields (JSON), words (JSON, what the indexes have of it),
// created, updated, revision.
func personKey(production, id string) string { return "{p:" + production + "}:person:" + id }

// peopleKey: sorted set of the production's people, all of score 0: name as it is ordered, zero byte, id.
func peopleKey(production string) string { return "{p:" + production + "}:people" }

// termsKey: sorted set of what people are found by, all of score 0: term, zero byte, id.
func termsKey(production string) string { return "{p:" + production + "}:people:terms" }

// addressesKey: hash of people's ids by address as it is compared, hashed.
func addressesKey(production string) string { return "{p:" + production + "}:people:addresses" }

// listKey: hash name, policy (JSON), word (what the index has of it), created, updated, revision, seq (score of who came last).
func listKey(production, list string) string { return "{p:" + production + "}:list:" + list }

// listsKey: sorted set of the production's lists, all of score 0: name as it is ordered, zero byte, id.
func listsKey(production string) string { return "{p:" + production + "}:lists" }

// listPeopleKey: sorted set of the ids of a list's people, in the order in which they came into it.
func listPeopleKey(production, list string) string {
	return "{p:" + production + "}:list:people:" + list
}

// auditKey: stream of who was told what; capped.
func auditKey(production string) string { return "{p:" + production + "}:audit" }

// safeTag is the hash tag of a safe: a production's, or, when that is empty, the studio's.
func safeTag(production string) string {
	if production == "" {
		return "{dir}"
	}
	return "{p:" + production + "}"
}

// credentialKey: hash sealed, changed, by.
func credentialKey(production, name string) string {
	return safeTag(production) + ":credential:" + name
}

// credentialsKey: sorted set of the names of credentials, all of score 0, so that it is in their order.
func credentialsKey(production string) string { return safeTag(production) + ":credentials" }

// safeAuditKey: the audit beside a safe; a production's is its auditKey.
func safeAuditKey(production string) string { return safeTag(production) + ":audit" }

// productionsKey: sorted set of all production ids, all of score 0, so that it is in their order.
func productionsKey() string { return "{dir}:productions" }

// tokenKey: hash sha256, role, productions, note, created, revoked.
func tokenKey(id string) string { return "{dir}:token:" + id }

// signInKey: hash sha256, role, productions, note, expires, used (the session's sha256); goes when it expires.
func signInKey(id string) string { return "{dir}:signin:" + id }

// sessionKey: hash sha256, subject, role, productions, way, created, seen, until, expires; goes when it expires.
func sessionKey(id string) string { return "{dir}:session:" + id }
