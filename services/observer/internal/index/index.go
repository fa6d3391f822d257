// Package index keeps what the observer has read of distributions in a SQLite file, so that any of it is found by whatever is
// at hand, also while nothing else answers.
//
// The file is a copy: all of it can be made again from events and records. One that is broken, or of another version, is put
// away and begun anew; nobody has to see to that, and Fresh says so. What is taken in and how far that goes are one
// transaction: after any stop nothing is missing and nothing counts twice. One writes at a time, and readers do not wait for it.
package index

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// version is that of schema.sql, and of what Take makes of events.
const version = 4

//go:embed schema.sql
var schema string

// readers is how many look at the same time.
const readers = 4

// Index is open until Close. It is safe for concurrent use.
type Index struct {
	path string

	// mu is held to write while the file is replaced.
	mu    sync.RWMutex
	write *sql.DB
	read  *sql.DB
	fresh string

	// full is how many docs a slice has, hurry how long a search for words may go on before it goes by slices.
	full  int
	hurry time.Duration
}

// ErrReplaced: the file was broken and has been begun anew; everything is to be read again.
var ErrReplaced = errors.New("the index was broken and is begun anew")

// Open opens the index at path, or begins it. With rebuild it begins it in any case.
func Open(path string, rebuild bool) (*Index, error) {
	x := &Index{path: path, full: sliceDocs, hurry: hurry}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	_, err = os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return x, x.begin("there was none")
	}
	if rebuild {
		return x, x.begin("that was asked for")
	}
	x.write, x.read, err = connect(path)
	if err != nil {
		return x, x.begin(fmt.Sprintf("the file cannot be used: %v", err))
	}
	var is int
	err = x.write.QueryRow("PRAGMA user_version").Scan(&is)
	if err == nil && is == version {
		err = x.probe()
	}
	if err != nil {
		x.disconnect()
		return x, x.begin(fmt.Sprintf("the file was broken: %v", err))
	}
	if is != version {
		x.disconnect()
		return x, x.begin(fmt.Sprintf("the file was of version %d, and this is %d", is, version))
	}
	return x, nil
}

// probe looks at each table.
func (x *Index) probe() error {
	for _, table := range []string{"productions", "slices", "distributions", "files", "recipients", "messages", "workers", "failures", "errors", "positions", "wholes", "words"} {
		rows, err := x.write.Query("SELECT 1 FROM " + table + " LIMIT 1")
		if err != nil {
			return err
		}
		rows.Next()
		err = errors.Join(rows.Err(), rows.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// Fresh says why the index was begun anew when it was opened, or since; empty when it was not.
func (x *Index) Fresh() string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.fresh
}

// Close ends all use.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.disconnect()
}

func (x *Index) disconnect() error {
	var errs []error
	for _, db := range []*sql.DB{x.read, x.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	x.read, x.write = nil, nil
	return errors.Join(errs...)
}

// begin makes an empty file in the place of what is there. Of a broken one the last is kept beside it, for whoever wants to
// know why.
func (x *Index) begin(why string) error {
	err := os.Rename(x.path, x.path+".old")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("begin index: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		err = os.Remove(x.path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("begin index: %w", err)
		}
	}
	x.write, x.read, err = connect(x.path)
	if err != nil {
		return fmt.Errorf("begin index: %w", err)
	}
	_, err = x.write.Exec("BEGIN;" + schema + "PRAGMA user_version = " + strconv.Itoa(version) + ";COMMIT;")
	if err != nil {
		return errors.Join(fmt.Errorf("begin index: %w", err), x.disconnect())
	}
	x.fresh = why
	return nil
}

func connect(path string) (write, read *sql.DB, err error) {
	// The file is a copy: what a power cut takes of its last second is read again. WAL keeps it whole.
	const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=temp_store(MEMORY)&_pragma=mmap_size(0)"
	write, err = sql.Open("sqlite", "file:"+path+pragmas+"&_pragma=cache_size(-16384)&_txlock=immediate")
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	read, err = sql.Open("sqlite", "file:"+path+pragmas+"&_pragma=cache_size(-8192)&_pragma=query_only(1)")
	if err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	err = write.Ping()
	if err != nil {
		return nil, nil, errors.Join(err, write.Close(), read.Close())
	}
	return write, read, nil
}

// broken reports whether err says that the file is.
func broken(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return true
	}
	return false
}

// looking calls do with what there is at one instant. A broken file is begun anew and gives ErrReplaced.
func (x *Index) looking(ctx context.Context, do func(*tx) error) error {
	return x.using(false, func(db *sql.DB) error {
		t, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		err = do(&tx{ctx: ctx, tx: t, stmts: map[string]*sql.Stmt{}})
		return errors.Join(err, t.Rollback())
	})
}

func (x *Index) using(write bool, do func(*sql.DB) error) error {
	x.mu.RLock()
	db := x.read
	if write {
		db = x.write
	}
	if db == nil {
		x.mu.RUnlock()
		return errors.New("the index is closed")
	}
	err := do(db)
	x.mu.RUnlock()
	if !broken(err) {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.write == nil {
		return err
	}
	if x.read != db && x.write != db {
		return ErrReplaced // by somebody else, meanwhile
	}
	_ = x.disconnect() // it is broken: what closing says of it is the same again
	failed := x.begin(fmt.Sprintf("the file was broken: %v", err))
	if failed != nil {
		return errors.Join(err, failed)
	}
	return ErrReplaced
}

// writing calls do in a transaction.
func (x *Index) writing(ctx context.Context, do func(*tx) error) error {
	return x.using(true, func(db *sql.DB) error {
		t, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		err = do(&tx{ctx: ctx, tx: t, stmts: map[string]*sql.Stmt{}})
		if err != nil {
			return errors.Join(err, t.Rollback())
		}
		return t.Commit()
	})
}

// tx is one transaction, with its statements. Statements may be read from while others are: a transaction has a connection of
// its own.
type tx struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	st := t.stmts[query]
	if st != nil {
		return st, nil
	}
	st, err := t.tx.PrepareContext(t.ctx, query)
	if err == nil {
		t.stmts[query] = st // closed with the transaction
	}
	return st, err
}

func (t *tx) exec(query string, args ...any) error {
	st, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(t.ctx, args...)
	return err
}

func (t *tx) query(query string, args ...any) (*sql.Rows, error) {
	st, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(t.ctx, args...)
}

// one reads one row; false: there is none.
func (t *tx) one(query string, args []any, into ...any) (bool, error) {
	st, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(t.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
