/* Videos and bursts that belong to a picture. */
#include "app/companions.h"
#include "core/file.h"
#include "db/images.h"
#include <string.h>

static enum status add(json_t *list, const char *kind, const char *path, struct error *err)
{
    json_t *o = json_pack("{s:s}", "kind", kind);
    if (!o || json_set_path(o, path) || json_array_append_new(list, o))
        return error_set(err, ST_NOMEM, "out of memory");
    return ST_OK;
}

static enum status add_video(json_t *list, const char *path, struct error *err)
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
    return ST_OK;
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

json_t *app_companions(struct app *a, int64_t image, const char *path)
{
    struct burst b = {json_array(), &a->err};
    enum status st =
        b.list ? add_video(b.list, path, &a->err) : error_set(&a->err, ST_NOMEM, "out of memory");
    if (!st && image)
        st = db_burst_each(a->db, image, path, add_burst, &b, &a->err);
    if (!st)
        return b.list;
    json_decref(b.list);
    return NULL;
}
