-- The catalogue: roots, files, contents, models, vectors, errors, settings.
-- Paths are BLOBs because file names may hold any byte. Times are seconds since 1970 UTC.

CREATE TABLE settings (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE roots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    added INTEGER NOT NULL,
    last_scan INTEGER NOT NULL DEFAULT 0,
    dev INTEGER NOT NULL DEFAULT 0
);

-- One row for each distinct content. `present` counts the files that hold it now (triggers below).
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 16),
    bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    orientation INTEGER NOT NULL,
    format TEXT NOT NULL,
    taken TEXT NOT NULL,
    taken_at INTEGER,
    make TEXT NOT NULL,
    camera TEXT NOT NULL,
    lens TEXT NOT NULL,
    lat REAL,
    lon REAL,
    alt REAL,
    generated INTEGER NOT NULL DEFAULT 0,
    prompt TEXT,
    seed INTEGER,
    gen_model TEXT,
    added INTEGER NOT NULL,
    present INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX images_taken ON images (taken_at) WHERE taken_at IS NOT NULL;
CREATE INDEX images_generated ON images (id) WHERE generated = 1;
CREATE INDEX images_absent ON images (id) WHERE present = 0;

-- status: 1 present, 2 missing, 3 failed.
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root INTEGER REFERENCES roots (id) ON DELETE SET NULL,
    path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    image INTEGER REFERENCES images (id),
    status INTEGER NOT NULL CHECK (status IN (1, 2, 3))
);
CREATE INDEX files_image ON files (image);
CREATE INDEX files_root ON files (root);
CREATE INDEX files_not_present ON files (status) WHERE status <> 1;

CREATE TRIGGER files_put AFTER INSERT ON files WHEN new.status = 1 AND new.image IS NOT NULL
BEGIN
    UPDATE images SET present = present + 1 WHERE id = new.image;
END;
CREATE TRIGGER files_gone AFTER DELETE ON files WHEN old.status = 1 AND old.image IS NOT NULL
BEGIN
    UPDATE images SET present = present - 1 WHERE id = old.image;
END;
CREATE TRIGGER files_changed AFTER UPDATE OF image, status ON files
WHEN old.image IS NOT new.image OR old.status <> new.status
BEGIN
    UPDATE images SET present = present - 1 WHERE id = old.image AND old.status = 1;
    UPDATE images SET present = present + 1 WHERE id = new.image AND new.status = 1;
END;

CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hex TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    dim INTEGER NOT NULL CHECK (dim > 0),
    generation INTEGER NOT NULL DEFAULT 0,
    vectors INTEGER NOT NULL DEFAULT 0
);

-- `vectors` of models counts rows (triggers below). precision: 1 f32, 2 bf16, 3 int8 (of the network's arithmetic). vec: dim f32, little endian, unit length.
CREATE TABLE vectors (
    model INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    precision INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    device TEXT NOT NULL,
    vec BLOB NOT NULL,
    PRIMARY KEY (model, image)
);
CREATE UNIQUE INDEX vectors_generation ON vectors (model, generation);
CREATE INDEX vectors_image ON vectors (image);

-- What caches need to catch up: vectors that went, and a random stamp for each commit.
CREATE TABLE vector_removals (
    model INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    image INTEGER NOT NULL,
    PRIMARY KEY (model, generation)
) WITHOUT ROWID;
CREATE TABLE vector_commits (
    model INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    PRIMARY KEY (model, generation)
) WITHOUT ROWID;
CREATE TRIGGER vectors_put AFTER INSERT ON vectors
BEGIN
    UPDATE models SET vectors = vectors + 1 WHERE id = new.model;
END;
CREATE TRIGGER vectors_gone AFTER DELETE ON vectors
BEGIN
    UPDATE models SET generation = generation + 1, vectors = vectors - 1 WHERE id = old.model;
    INSERT INTO vector_removals (model, generation, image)
        SELECT id, generation, old.image FROM models WHERE id = old.model;
END;

-- code: the name of the status, as `eidetic errors --json` shows it.
CREATE TABLE errors (
    path BLOB PRIMARY KEY NOT NULL,
    code TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
