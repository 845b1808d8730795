/* The identifier that the two files of a live photo share, whatever they are called.
 *
 *     char of_picture[IMAGE_LIVE_ID], of_video[IMAGE_LIVE_ID];
 *     if (image_live_id(of_picture, "/photos/beach.heic") &&
 *         image_live_video_id(of_video, "/photos/clip 7.mov") && !strcmp(of_picture, of_video))
 *         ...                                               // they belong together
 *
 * In a picture it is tag 17 of Apple's maker note, in a QuickTime video the metadata
 * com.apple.quicktime.content.identifier. Hostile input: little is read of either file (of a
 * picture its first MiB, of a video the headers of its atoms and its metadata), and what is no
 * identifier is none. False also where a file cannot be read or memory runs out. Any thread. */
#ifndef EIDETIC_IMAGE_LIVE_H
#define EIDETIC_IMAGE_LIVE_H

#include <stdbool.h>

#define IMAGE_LIVE_ID 64

bool image_live_id(char id[IMAGE_LIVE_ID], const char *path);
bool image_live_video_id(char id[IMAGE_LIVE_ID], const char *path);

#endif
