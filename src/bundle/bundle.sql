-- One bundle: read-only once built. Its bytes are followed by a seal (format.rs) that SQLite never reads.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- The manifest: each input with its digest.
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    revision TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    redacted INTEGER NOT NULL
) STRICT;
-- Ranking data (length in weighted words, vector) stands before the text, so that one row read gives both.
CREATE TABLE snippet (
    id INTEGER PRIMARY KEY,
    length INTEGER NOT NULL,
    vector BLOB NOT NULL,
    source INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
-- Postings of the terms whose hash starts with the bucket's number.
CREATE TABLE bucket (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
-- Where things moved to. A relative path matches at any directory boundary.
CREATE TABLE moved (old TEXT PRIMARY KEY, new TEXT NOT NULL, citation TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- Of them, those of the operator's own map. A bundle of an older program has no such table: all its moves are told.
CREATE TABLE mapped (old TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
-- And those that git recorded as renames.
CREATE TABLE renamed (old TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
