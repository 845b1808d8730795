/* Videos and bursts that belong to a picture. */
#include "app/companions.h"
#include "core/file.h"
#include "db/images.h"
#include "image/live.h"
#include <dirent.h>
#include <string.h>

static enum status add(json_t *list, const char *kind, const char *path, struct error *err)
{
    json_t *o = json_pack("{s:s}", "kind", kind);
    if (!o || json_set_path(o, path) || json_array_append_new(list, o))
        return error_set(err, ST_NOMEM, "out of memory");
    return ST_OK;
}

/* A video of another name with the identifier that Apple's cameras give both; the first by name. */
static enum status add_live_video(json_t *list, const char *path, struct error *err)
{
    char id[IMAGE_LIVE_ID] = "", other[IMAGE_LIVE_ID], *folder = path_dir(path), *best = NULL;
    DIR *d = folder ? opendir(folder) : NULL;
    enum status st = folder ? ST_OK : ST_NOMEM;
    for (const struct dirent *e; d && !st && (e = readdir(d));) {
        if (!path_has_ext(e->d_name, "mov") && !path_has_ext(e->d_name, "mp4"))
            continue;
        if (!id[0] && !image_live_id(id, path)) /* not before there is a video to compare with */
            break;
        char *video = path_join(folder, e->d_name);
        if (!video) {
            st = ST_NOMEM;
        } else if ((!best || strcmp(video, best) < 0) && image_live_video_id(other, video) &&
                   !strcmp(id, other)) {
            mem_free(best);
            best = video;
            video = NULL;
        }
        mem_free(video);
    }
    if (d)
        closedir(d);
    if (!st && best)
        st = add(list, "video", best, err);
    mem_free(best);
    mem_free(folder);
    return st == ST_NOMEM ? error_set(err, st, "out of memory") : st;
}

static enum status add_video(json_t *list, const char *path, bool any_name, struct error *err)
{
    static const char *const kinds[] = {"mov", "MOV", "mp4", "MP4"};
    const char *ext = path_ext(path);
    for (size_t i = 0; *ext && i < sizeof kinds / sizeof *kinds; i++) {
        char *video = mem_printf("%.*s%s", (int)(ext - path), path, kinds[i]);
        if (!video)
            return error_set(err, ST_NOMEM, "out of memory");
        bool there = file_exists(video) && !file_is_dir(video);
        enum status st = there ? add(list, "video", video, err) : ST_OK;
        mem_free(video);
        if (st || there)
            return st;
    }
    return any_name ? add_live_video(list, path, err) : ST_OK;
}

struct burst {
    json_t *list;
    struct error *err;
};

static enum status add_burst(void *ctx, const char *path)
{
    struct burst *b = ctx;
    return add(b->list, "burst", path, b->err);
}

json_t *app_companions(struct app *a, int64_t image, const char *path, bool any_name)
{
    struct burst b = {json_array(), &a->err};
    enum status st = b.list ? add_video(b.list, path, any_name, &a->err)
                            : error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st && image)
        st = db_burst_each(a->db, image, path, add_burst, &b, &a->err);
    if (!st)
        return b.list;
    json_decref(b.list);
    return NULL;
}
