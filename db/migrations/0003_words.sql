-- What is said of a picture: tags, a caption, and the full-text table over them and the files' names.

-- The best score first is rank 0; `score` lies within 0..1.
CREATE TABLE image_tags (
    image INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    tag TEXT NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (image, rank)
) WITHOUT ROWID;
CREATE INDEX image_tags_tag ON image_tags (tag COLLATE NOCASE);

-- key: of the model, list and settings that made the tags, so that a run that was stopped goes on where it was.
-- caption: a sentence, or null where nothing has made one.
CREATE TABLE image_texts (
    image INTEGER PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    tags_key TEXT,
    caption TEXT
);

-- One row for each content; names: the paths of all its files. Words are Unicode letters and digits, without case and accents.
CREATE VIRTUAL TABLE words USING fts5 (tags, caption, names, tokenize = 'unicode61 remove_diacritics 2');

CREATE VIEW image_words AS
SELECT id,
    coalesce((SELECT group_concat(tag, ', ') FROM image_tags WHERE image = images.id), '') AS tags,
    coalesce((SELECT caption FROM image_texts WHERE image = images.id), '') AS caption,
    coalesce((SELECT group_concat(CAST(path AS TEXT), char(10)) FROM files WHERE image = images.id), '') AS names
FROM images;

-- Pictures whose row in `words` must be written anew, which each commit does before it is one: a trigger of a schema that is
-- not trusted may not write to a virtual table itself. No OR IGNORE below: the policy of the statement that fires a trigger
-- goes before the trigger's own.
CREATE TABLE words_stale (image INTEGER PRIMARY KEY);

CREATE TRIGGER words_file_put AFTER INSERT ON files WHEN new.image IS NOT NULL
BEGIN
    INSERT INTO words_stale SELECT new.image WHERE new.image NOT IN (SELECT image FROM words_stale);
END;
CREATE TRIGGER words_file_gone AFTER DELETE ON files WHEN old.image IS NOT NULL
BEGIN
    INSERT INTO words_stale SELECT old.image WHERE old.image NOT IN (SELECT image FROM words_stale);
END;
CREATE TRIGGER words_file_changed AFTER UPDATE OF image ON files WHEN old.image IS NOT new.image
BEGIN
    INSERT INTO words_stale SELECT old.image WHERE old.image NOT IN (SELECT image FROM words_stale) AND old.image IS NOT NULL;
    INSERT INTO words_stale SELECT new.image WHERE new.image NOT IN (SELECT image FROM words_stale) AND new.image IS NOT NULL;
END;
CREATE TRIGGER words_text_put AFTER INSERT ON image_texts
BEGIN
    INSERT INTO words_stale SELECT new.image WHERE new.image NOT IN (SELECT image FROM words_stale);
END;
CREATE TRIGGER words_text_changed AFTER UPDATE ON image_texts
BEGIN
    INSERT INTO words_stale SELECT new.image WHERE new.image NOT IN (SELECT image FROM words_stale);
END;
CREATE TRIGGER words_image_put AFTER INSERT ON images
BEGIN
    INSERT INTO words_stale SELECT new.id WHERE new.id NOT IN (SELECT image FROM words_stale);
END;
CREATE TRIGGER words_image_gone AFTER DELETE ON images
BEGIN
    INSERT INTO words_stale SELECT old.id WHERE old.id NOT IN (SELECT image FROM words_stale);
END;

INSERT INTO words (rowid, tags, caption, names) SELECT * FROM image_words;
