-- What the pictures of one burst share, as their camera wrote it.
ALTER TABLE images ADD COLUMN burst TEXT;
CREATE INDEX images_burst ON images (burst) WHERE burst IS NOT NULL;
