-- What the index holds. A change of anything here is another version (index.go), and files of another one are made anew.
--
-- A distribution's n grows with the time of its creation: seconds since 2020 in the upper 30 of its 40 bits. Whatever belongs
-- to it has a doc, n and 20 bits more: two for its kind (0 the distribution, 1 a file, 2 a recipient, 3 a sentence of an error)
-- and 18 for its number. So the newest of anything are the last, and full text search finds them first.

CREATE TABLE productions (
  p    INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

-- All that is written of distributions from first on, up to the next slice's, is of a slice; each has about as many docs. One
-- is begun when the last is full, so what was once of a slice stays so.
CREATE TABLE slices (
  number INTEGER PRIMARY KEY,
  first  INTEGER NOT NULL UNIQUE,
  last   INTEGER NOT NULL, -- the greatest n of which something is written
  docs   INTEGER NOT NULL
);

CREATE TABLE distributions (
  n            INTEGER PRIMARY KEY,
  p            INTEGER NOT NULL, -- the production's
  run          INTEGER NOT NULL, -- 1: a program reported it
  production   TEXT NOT NULL,
  id           TEXT NOT NULL,
  title        TEXT NOT NULL,
  state        TEXT NOT NULL,
  mode         TEXT NOT NULL,
  definition   TEXT NOT NULL,
  version      INTEGER NOT NULL,
  created      INTEGER NOT NULL, -- times are ms since 1970; 0: not
  started      INTEGER NOT NULL,
  ended        INTEGER NOT NULL,
  deadline     INTEGER NOT NULL,
  items        INTEGER NOT NULL,
  items_done   INTEGER NOT NULL,
  items_failed INTEGER NOT NULL,
  recipients   INTEGER NOT NULL,
  parent       TEXT NOT NULL,
  code         TEXT NOT NULL,    -- of what fails most of it now
  stopped      TEXT NOT NULL,    -- the code of why it stopped by itself
  failing      INTEGER NOT NULL, -- how many failures of it are open
  position     TEXT NOT NULL,    -- the last event that was taken in
  body         BLOB NOT NULL     -- all of it, as whoever took it in writes it
);
CREATE UNIQUE INDEX distributions_id ON distributions (id, run, production);
-- Whatever distributions are chosen by stands in each of these, so that going through them reads nothing else.
CREATE INDEX distributions_n ON distributions (n, p, state, definition, created, deadline, ended);
CREATE INDEX distributions_p ON distributions (p, n, state, definition, created, deadline, ended);
CREATE INDEX distributions_state ON distributions (state, n, p, definition, created, deadline, ended);

CREATE TABLE files (
  doc    INTEGER PRIMARY KEY,
  p      INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  name   TEXT NOT NULL
);
CREATE INDEX files_sha256 ON files (sha256, doc, p);

CREATE TABLE recipients (
  doc        INTEGER PRIMARY KEY,
  p          INTEGER NOT NULL,
  name       TEXT NOT NULL,
  email      TEXT NOT NULL,
  state      TEXT NOT NULL, -- of the delivery
  message_id TEXT NOT NULL,
  code       TEXT NOT NULL,
  message    TEXT NOT NULL,
  sent       INTEGER NOT NULL,
  address    TEXT NOT NULL  -- email as Fold writes it
);
-- Whether somebody has it in a production; who it is, in order, wholes have.
CREATE INDEX recipients_address ON recipients (address, p);

-- Message-IDs, also of mails that others replaced.
CREATE TABLE messages (
  id  TEXT NOT NULL,
  doc INTEGER NOT NULL,
  PRIMARY KEY (id, doc)
) WITHOUT ROWID;

CREATE TABLE workers (
  worker TEXT NOT NULL,
  n      INTEGER NOT NULL,
  p      INTEGER NOT NULL,
  PRIMARY KEY (worker, n)
) WITHOUT ROWID;

-- What went wrong at steps, by code: open while that is the last that is known of the step.
CREATE TABLE failures (
  n         INTEGER NOT NULL,
  p         INTEGER NOT NULL,
  unit      TEXT NOT NULL,
  step      TEXT NOT NULL,
  code      TEXT NOT NULL,
  message   TEXT NOT NULL, -- the last
  worker    TEXT NOT NULL,
  recipient INTEGER NOT NULL,
  attempts  INTEGER NOT NULL,
  first     INTEGER NOT NULL,
  last      INTEGER NOT NULL,
  state     TEXT NOT NULL, -- retrying failed resolved
  PRIMARY KEY (n, unit, step, code)
) WITHOUT ROWID;
CREATE INDEX failures_code ON failures (code, n, unit, p);
CREATE INDEX failures_last ON failures (last, p, state, code);

-- Sentences of errors, each once in a distribution.
CREATE TABLE errors (
  doc     INTEGER PRIMARY KEY,
  code    TEXT NOT NULL,
  message TEXT NOT NULL
);

-- How far the streams of changes were followed.
CREATE TABLE positions (
  stream   TEXT PRIMARY KEY,
  position TEXT NOT NULL
) WITHOUT ROWID;

-- Names, addresses and titles as a whole, folded; some may be what was so once.
CREATE TABLE wholes (
  text TEXT NOT NULL,
  doc  INTEGER NOT NULL,
  p    INTEGER NOT NULL,
  PRIMARY KEY (text, doc)
) WITHOUT ROWID;

-- Every text as text.go writes it, by doc: after its production's sign and its slice's.
CREATE VIRTUAL TABLE words USING fts5 (
  title, file, person, error,
  content='', contentless_delete=1, tokenize='trigram case_sensitive 1'
);
