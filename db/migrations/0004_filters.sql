-- Filters of a search are answered from these alone: folders (paths of present files and what they
-- hold) and dates. SQLite 3.40 takes an index for enough only where the condition is in it too.
CREATE INDEX files_present ON files (path, image, status) WHERE status = 1;
CREATE INDEX images_dated ON images (taken_at, present) WHERE taken_at IS NOT NULL;
DROP INDEX images_taken;
