-- What people wrote of a picture, in it or in a sidecar beside one of its files.

-- A stamp of the sidecars that were there when the words were read, 0 = none; null: they never were.
ALTER TABLE files ADD COLUMN sidecars INTEGER;

-- rating: 1 to 5, 0 = none, -1 = rejected.
CREATE TABLE file_words (
    file INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    rating INTEGER NOT NULL
);
CREATE TABLE file_keywords (
    file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    keyword TEXT NOT NULL,
    PRIMARY KEY (file, rank)
) WITHOUT ROWID;
CREATE INDEX file_keywords_keyword ON file_keywords (keyword COLLATE NOCASE);

-- Keywords stand with tags, titles and descriptions with captions.
DROP VIEW image_words;
CREATE VIEW image_words AS
SELECT id,
    coalesce((SELECT group_concat(tag, ', ') FROM image_tags WHERE image = images.id), '')
        || coalesce((SELECT ', ' || group_concat(keyword, ', ') FROM file_keywords
                     WHERE file IN (SELECT id FROM files WHERE image = images.id)), '') AS tags,
    coalesce((SELECT caption FROM image_texts WHERE image = images.id), '')
        || coalesce((SELECT char(10) || group_concat(title || char(10) || description, char(10)) FROM file_words
                     WHERE file IN (SELECT id FROM files WHERE image = images.id)), '') AS caption,
    coalesce((SELECT group_concat(CAST(path AS TEXT), char(10)) FROM files WHERE image = images.id), '') AS names
FROM images;
