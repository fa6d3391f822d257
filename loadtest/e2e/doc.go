// Package e2e is the black-box suite: it starts the real program, sends real documents to people through REST and the
// command line, and holds what the API says against what a mail server got. It knows nothing of the services but their
// contracts.
//
// Environment:
//
//	FILIGREE_BIN              the program to test; without it, it is built from this workspace
//	FILIGREE_CORPUS           a folder of PDFs with a MANIFEST.tsv; tests on strangers' documents are skipped without it
//	FILIGREE_CORPUS_SKIP      leaves out so many of the corpus's documents, to send others (default 0)
//	FILIGREE_CHAOS_SEEDS      how many runs of the chaos test, of three kills each (default 1; a number, 10 for the whole)
//	FILIGREE_E2E_CREDENTIALS  credentials.json of a running installation, to run there what kills and configures nothing;
//	FILIGREE_E2E_OUTBOX       the folder where its mails end up
//	FILIGREE_SCREENSHOTS      a folder for pictures of the pages that recipients see, on a phone and at a desk
//
// Tests of those pages need chromium.
//
// On failure the data folder with logs and mails is kept, and named in the output. Results depend on more than the go
// command knows of, so run it with -count=1.
package e2e
