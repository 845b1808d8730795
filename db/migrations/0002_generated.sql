-- What a generated picture was made with. parameters: the whole text (image/parameters.h), of which
-- prompt, negative, seed and gen_model are parts. Pictures are looked up by their prompt before one
-- is made again.
ALTER TABLE images ADD COLUMN negative TEXT;
ALTER TABLE images ADD COLUMN parameters TEXT;
CREATE INDEX images_prompt ON images (prompt) WHERE generated = 1;
