// Package e2e is the black-box suite: it starts the real program, sends real documents to people through REST and the
// command line, and holds what the API says against what a mail server got. It knows nothing of the services but their
// contracts.
//
// Environment:
//
//	FILIGREE_BIN              the program to test, beside those of the services; without it, they are built from this workspace
//	FILIGREE_CORPUS           a folder of PDFs with a MANIFEST.tsv; tests on strangers' documents are skipped without it
//	FILIGREE_CORPUS_SKIP      leaves out so many of the corpus's documents, to send others (default 0)
//	FILIGREE_CHAOS_SEEDS      how many runs of the chaos test, of three kills each (default 1; a number, 10 for the whole)
//	FILIGREE_CANCEL_SEEDS     at how many moments it is cancelled and paused (default 3; 50 for the whole)
//	FILIGREE_ROLLING          how often all processes are stopped and started one by one (default 1; 3 for the whole)
//	FILIGREE_ZOMBIES          how many mail workers stand still past their leases (default 2; 100 for the whole)
//	FILIGREE_E2E_DEPLOY       "processes": the services in processes of their own; with ",tls" they prove who they are to each
//	                          other, with ",s3" they keep documents in S3
//	FILIGREE_E2E_CREDENTIALS  credentials.json of a running installation, to run there what kills and configures nothing;
//	FILIGREE_E2E_OUTBOX       the folder where its mails end up
//	FILIGREE_VERSITYGW        the S3 server; without it, it is bin/versitygw (make bin/versitygw)
//	FILIGREE_SCREENSHOTS      a folder for pictures of the pages that recipients see, on a phone and at a desk
//	CI                        a test that lacks a program fails instead of being skipped
//
// Tests of those pages need chromium.
//
// On failure the data folder with logs and mails is kept, and named in the output. Results depend on more than the go
// command knows of, so run it with -count=1.
package e2e
