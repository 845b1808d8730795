/* Of results that are nearly alike, or of one burst, only the best. */
#include "core/mem.h"
#include "search/search_int.h"
#include <string.h>

enum status search_dedup(struct search *s, struct search_result *r, float alike, struct error *err)
{
    size_t dim = (size_t)s->model.dim, kept = 0, cells;
    int64_t *ids = mem_array(r->n + 1, sizeof *ids);
    bool *have = mem_array(r->n + 1, sizeof *have);
    float *rows = mul_overflow_size(r->n, dim, &cells) ? NULL : mem_array(cells + 1, sizeof *rows);
    float *scores = mem_array(r->n + 1, sizeof *scores);
    char(*burst)[64] = mem_array(r->n + 1, sizeof *burst); /* of the kept ones, in front */
    enum status rc = ids && have && rows && scores && burst
                         ? ST_OK
                         : error_set(err, ST_NOMEM, "out of memory (%zu results)", r->n);
    for (size_t i = 0; !rc && i < r->n; i++)
        ids[i] = r->hits[i].image;
    if (!rc)
        rc = db_vectors_get(s->db, s->model.id, ids, r->n, s->model.dim, rows, have, err);
    for (size_t i = 0; !rc && i < r->n; i++) { /* rows of kept ones move to the front */
        bool again = false;
        if ((rc = db_burst_get(s->db, ids[i], burst[kept], err)))
            break;
        s->ops.f32(scores, rows, kept, dim, rows + i * dim);
        for (size_t k = 0; k < kept && !again; k++)
            again = scores[k] >= alike || (burst[k][0] && !strcmp(burst[k], burst[kept]));
        if (again)
            continue;
        if (kept != i)
            memcpy(rows + kept * dim, rows + i * dim, dim * sizeof *rows);
        r->hits[kept++] = r->hits[i];
    }
    if (!rc)
        r->n = kept;
    mem_free(burst);
    mem_free(scores);
    mem_free(rows);
    mem_free(have);
    mem_free(ids);
    return rc;
}
