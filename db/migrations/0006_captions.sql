-- What made a caption, so that a run that was stopped goes on where it was, and how well it fits its picture, of 0 to 1.
ALTER TABLE image_texts ADD COLUMN caption_key TEXT;
ALTER TABLE image_texts ADD COLUMN caption_score REAL;
